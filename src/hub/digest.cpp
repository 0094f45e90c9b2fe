#include "hub/digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "core/check.h"

namespace zimage::hub {
namespace {

EVP_MD_CTX* context(const std::shared_ptr<void>& p) { return static_cast<EVP_MD_CTX*>(p.get()); }

}  // namespace

Digest::Digest(bool is_lfs, std::uint64_t size)
    : context_(EVP_MD_CTX_new(), [](void* p) { EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(p)); }) {
  check(context_ != nullptr &&
            EVP_DigestInit_ex(context(context_), is_lfs ? EVP_sha256() : EVP_sha1(), nullptr) == 1,
        "cannot start a hash");
  if (is_lfs) return;
  const std::string header = str("blob ", size);
  update(std::as_bytes(std::span(header.c_str(), header.size() + 1)));
}

void Digest::update(std::span<const std::byte> bytes) {
  check(EVP_DigestUpdate(context(context_), bytes.data(), bytes.size()) == 1, "cannot hash");
}

std::string Digest::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  check(EVP_DigestFinal_ex(context(context_), digest.data(), &length) == 1, "cannot hash");
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i < length; ++i) {
    text += kDigits[digest[i] >> 4];
    text += kDigits[digest[i] & 15];
  }
  return text;
}

bool is_hex(const std::string& text, std::size_t length) {
  return text.size() == length && std::all_of(text.begin(), text.end(), [](char c) {
           return ('0' <= c && c <= '9') || ('a' <= c && c <= 'f');
         });
}

}  // namespace zimage::hub
