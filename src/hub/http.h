#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <stdexcept>
#include <string>

namespace zimage::hub {

struct HttpResponse {
  long status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string header(const std::string& name) const;
};

struct HttpRequest {
  std::string url;
  std::string token;              // sent to the host of `url` alone, not where it redirects to
  std::uint64_t range_begin = 0;  // above 0: ask for the bytes from there on
  std::string if_range = {};      // an ETag
  double stall_seconds = 30;
  std::function<bool()> is_cancelled = {};
  // Called once before the first body byte of the last answer; may throw.
  std::function<void(const HttpResponse&)> on_headers = {};
  std::function<void(std::span<const std::byte>)> on_body = {};  // may throw
};

// The line is down: no answer, or one that broke off. Worth another try.
class TransportError : public std::runtime_error {
 public:
  explicit TransportError(const std::string& what, double seconds = 0)
      : std::runtime_error(what), seconds_(seconds) {}
  double seconds() const { return seconds_; }  // how long the server asks to wait

 private:
  double seconds_;
};

// GET. Follows up to ten redirects to http and https addresses, never from https to http. Throws
// TransportError, Cancelled, Error, and what the callbacks throw.
HttpResponse http_get(const HttpRequest& request);

std::string percent_encoded(const std::string& text);  // all but letters, digits and -._~

}  // namespace zimage::hub
