#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/check.h"
#include "io/json.h"

namespace {

// Asks for every key as every type.
void visit(const zimage::Json& json) {
  const auto attempt = [](auto&& call) {
    try {
      call();
    } catch (const zimage::Error&) {
    }
  };
  for (const std::string& key : json.keys()) {
    attempt([&] { json.get<int>(key); });
    attempt([&] { json.get<float>(key); });
    attempt([&] { json.get<std::string>(key); });
    attempt([&] { json.get<std::vector<float>>(key); });
    attempt([&] { visit(json.object(key)); });
    attempt([&] {
      for (const zimage::Json& object : json.objects(key)) visit(object);
    });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    visit(zimage::Json::parse({reinterpret_cast<const char*>(data), size}, "fuzz.json"));
  } catch (const zimage::Error&) {
  }
  return 0;
}
