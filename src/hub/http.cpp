#include "hub/http.h"

#include <curl/curl.h>

#include <exception>
#include <memory>
#include <mutex>

#include "core/check.h"

namespace zimage::hub {
namespace {

constexpr int kMaxRedirects = 10;
constexpr std::size_t kMaxHeaderBytes = std::size_t{256} << 10;
constexpr std::size_t kMaxUnwantedBytes = std::size_t{1} << 20;  // behind a status that is no 2xx

struct Transfer {
  const HttpRequest& request;
  HttpResponse response;
  std::size_t header_bytes = 0;
  std::size_t unwanted_bytes = 0;
  bool has_body_begun = false;
  std::exception_ptr failure;  // C code must not see exceptions
};

char lower(char c) { return 'A' <= c && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == text.npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
}

std::size_t on_header(char* data, std::size_t size, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const std::string_view line(data, size * count);
  transfer.header_bytes += line.size();
  if (transfer.header_bytes > kMaxHeaderBytes) return 0;
  if (line.starts_with("HTTP/")) {  // of this answer; an earlier one was a 100
    transfer.response.headers.clear();
  } else if (const auto colon = line.find(':'); colon != line.npos) {
    std::string name(line.substr(0, colon));
    for (char& c : name) c = lower(c);
    transfer.response.headers[name] = trimmed(line.substr(colon + 1));
  }
  return line.size();
}

bool is_redirect(long status) { return status >= 300 && status < 400 && status != 304; }

std::size_t on_data(char* data, std::size_t size, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (transfer.response.status < 200 || transfer.response.status >= 300) {
    transfer.unwanted_bytes += size * count;
    if (transfer.unwanted_bytes > kMaxUnwantedBytes) return CURL_WRITEFUNC_ERROR;
  }
  if (is_redirect(transfer.response.status)) return size * count;
  try {
    if (!transfer.has_body_begun && transfer.request.on_headers) {
      transfer.request.on_headers(transfer.response);
    }
    transfer.has_body_begun = true;
    if (transfer.request.on_body) {
      transfer.request.on_body(std::as_bytes(std::span(data, size * count)));
    }
  } catch (...) {
    transfer.failure = std::current_exception();
    return CURL_WRITEFUNC_ERROR;
  }
  return size * count;
}

struct Handle {
  std::unique_ptr<CURL, void (*)(CURL*)> curl{curl_easy_init(), curl_easy_cleanup};
  std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers{nullptr, curl_slist_free_all};

  template <class Value>
  void set(CURLoption option, Value value) const {
    check(curl_easy_setopt(curl.get(), option, value) == CURLE_OK, "libcurl: option ",
          static_cast<int>(option), " is not supported");
  }
  void add_header(const std::string& line) {
    curl_slist* list = curl_slist_append(headers.get(), line.c_str());
    check(list != nullptr, "out of memory");
    (void)headers.release();
    headers.reset(list);
  }
};

struct StatusOf {
  Transfer& transfer;
  CURL* curl;
};

// The status is known when the body begins; libcurl tells it there.
std::size_t on_data_with_status(char* data, std::size_t size, std::size_t count, void* user) {
  auto& of = *static_cast<StatusOf*>(user);
  curl_easy_getinfo(of.curl, CURLINFO_RESPONSE_CODE, &of.transfer.response.status);
  return on_data(data, size, count, &of.transfer);
}

int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const auto& request = *static_cast<const HttpRequest*>(user);
  return request.is_cancelled && request.is_cancelled() ? 1 : 0;
}

// One request, no redirects.
HttpResponse fetch(const HttpRequest& request) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  Handle handle;
  check(handle.curl != nullptr, "libcurl cannot start");
  Transfer transfer{.request = request, .response = {}, .failure = nullptr};
  StatusOf status{transfer, handle.curl.get()};
  handle.set(CURLOPT_URL, request.url.c_str());
  handle.set(CURLOPT_PROTOCOLS_STR, "http,https");
  handle.set(CURLOPT_FOLLOWLOCATION, 0L);
  handle.set(CURLOPT_NOSIGNAL, 1L);
  handle.set(CURLOPT_CONNECTTIMEOUT, 10L);
  handle.set(CURLOPT_LOW_SPEED_LIMIT, 1L);
  handle.set(CURLOPT_LOW_SPEED_TIME,
             static_cast<long>(request.stall_seconds < 1 ? 1 : request.stall_seconds));
  handle.set(CURLOPT_USERAGENT, "zimage/" ZIMAGE_VERSION);
  handle.set(CURLOPT_HEADERFUNCTION, &on_header);
  handle.set(CURLOPT_HEADERDATA, static_cast<void*>(&transfer));
  handle.set(CURLOPT_WRITEFUNCTION, &on_data_with_status);
  handle.set(CURLOPT_WRITEDATA, static_cast<void*>(&status));
  handle.set(CURLOPT_NOPROGRESS, 0L);
  handle.set(CURLOPT_XFERINFOFUNCTION, &on_progress);
  handle.set(CURLOPT_XFERINFODATA, static_cast<const void*>(&request));
  handle.add_header("Accept-Encoding: identity");
  if (!request.token.empty()) handle.add_header("Authorization: Bearer " + request.token);
  if (request.range_begin > 0) handle.add_header(str("Range: bytes=", request.range_begin, "-"));
  if (!request.if_range.empty()) handle.add_header("If-Range: " + request.if_range);
  handle.set(CURLOPT_HTTPHEADER, handle.headers.get());

  const CURLcode code = curl_easy_perform(handle.curl.get());
  curl_easy_getinfo(handle.curl.get(), CURLINFO_RESPONSE_CODE, &transfer.response.status);
  if (transfer.failure) std::rethrow_exception(transfer.failure);
  if (code == CURLE_ABORTED_BY_CALLBACK) throw Cancelled("cancelled");
  if (code != CURLE_OK) throw TransportError(curl_easy_strerror(code));
  if (!transfer.has_body_begun && request.on_headers && !is_redirect(transfer.response.status)) {
    request.on_headers(transfer.response);
  }
  return transfer.response;
}

std::string part_of(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return "";
  std::string result(text);
  curl_free(text);
  return result;
}

struct Target {
  std::string url, scheme, host;
};

// `location` relative to `base`.
Target target_of(const std::string& base, const std::string& location) {
  const std::unique_ptr<CURLU, void (*)(CURLU*)> url(curl_url(), curl_url_cleanup);
  const bool ok = curl_url_set(url.get(), CURLUPART_URL, base.c_str(), 0) == CURLUE_OK &&
                  (location.empty() ||
                   curl_url_set(url.get(), CURLUPART_URL, location.c_str(), 0) == CURLUE_OK);
  check(ok, "the hub redirects to an address that cannot be read");
  return {part_of(url.get(), CURLUPART_URL), part_of(url.get(), CURLUPART_SCHEME),
          part_of(url.get(), CURLUPART_HOST) + ":" +
              part_of(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT)};
}

}  // namespace

std::string HttpResponse::header(const std::string& name) const {
  const auto it = headers.find(name);
  return it == headers.end() ? "" : it->second;
}

HttpResponse http_get(const HttpRequest& given) {
  HttpRequest request = given;
  for (int redirects = 0; redirects <= kMaxRedirects; ++redirects) {
    HttpResponse response = fetch(request);
    const std::string location = response.header("location");
    if (!is_redirect(response.status) || location.empty()) return response;
    const Target from = target_of(request.url, ""), to = target_of(request.url, location);
    check(to.scheme == "https" || (to.scheme == "http" && from.scheme == "http"),
          "the hub redirects from ", from.scheme, " to ", to.scheme, ", which is refused");
    if (to.host != from.host || to.scheme != from.scheme) request.token.clear();
    request.url = to.url;
  }
  throw Error(str(given.url, ": more than ", kMaxRedirects, " redirects"));
}

std::string percent_encoded(const std::string& text) {
  constexpr const char* kDigits = "0123456789ABCDEF";
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_plain = ('0' <= c && c <= '9') || ('a' <= lower(c) && lower(c) <= 'z') ||
                          c == '-' || c == '.' || c == '_' || c == '~';
    if (is_plain) {
      result += c;
    } else {
      result += '%';
      result += kDigits[byte >> 4];
      result += kDigits[byte & 15];
    }
  }
  return result;
}

}  // namespace zimage::hub
