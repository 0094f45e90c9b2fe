#include "hub/ask.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "core/check.h"
#include "core/log.h"
#include "io/printable.h"

namespace zimage::hub {
namespace {

constexpr int kTries = 5;
constexpr double kLongestWait = 120;  // seconds

bool is_ok(long status) { return status >= 200 && status < 300; }
bool is_passing(long status) { return status == 429 || status == 408 || status >= 500; }

// "Retry-After: 7", or the t of 'RateLimit: "api";r=0;t=55'; 0 without either.
double seconds_asked_for(const HttpResponse& response) {
  std::string text = response.header("retry-after");
  if (text.empty()) {
    const std::string limit = response.header("ratelimit");
    if (const auto at = limit.find(";t="); at != limit.npos) text = limit.substr(at + 3);
  }
  return std::clamp(std::strtod(text.c_str(), nullptr), 0.0, kLongestWait);
}

[[noreturn]] void refuse(const HttpResponse& response, const Spec& spec, const std::string& what,
                         const Options& options) {
  const std::string code = response.header("x-error-code");
  const std::string page = options.endpoint + "/" + spec.repo;
  const std::string revision = spec.revision.empty() ? "main" : spec.revision;
  if (code == "GatedRepo") {
    throw Error(str(what, ": access is restricted (HTTP ", response.status,
                    "); accept the terms at ", page,
                    " and set HF_TOKEN, or give a local snapshot folder"));
  }
  if (code == "RevisionNotFound") {
    throw Error(str(spec.repo, " has no revision ", printable(revision), " on ", options.endpoint));
  }
  if (code == "EntryNotFound") throw Error(str(what, " is not on ", options.endpoint));
  const std::string message = response.header("x-error-message");
  const std::string told = message.empty() ? "" : ", \"" + printable(message) + "\"";
  if (response.status == 401 || response.status == 403) {
    throw Error(str(what, ": ", options.endpoint, " refuses access (HTTP ", response.status, told,
                    "): no such model, or a private one; ",
                    options.token.empty()
                        ? "set HF_TOKEN to a token that may read it"
                        : "the token in use (HF_TOKEN or a token file) may have expired or may not "
                          "read it, renew or unset it",
                    ", or give a local snapshot folder"));
  }
  if (response.status == 404) {
    throw Error(str(what, ": not found on ", options.endpoint, " (HTTP 404); check the name"));
  }
  throw Error(str(what, ": ", options.endpoint, " answers with HTTP ", response.status, told));
}

}  // namespace

void throw_unless_ok(const HttpResponse& response, const Spec& spec, const std::string& what,
                     const Options& options) {
  if (is_ok(response.status)) return;
  if (!is_passing(response.status)) refuse(response, spec, what, options);
  throw TransportError(str("HTTP ", response.status), seconds_asked_for(response));
}

void wait(double seconds, const Options& options) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (Clock::now() < end) {
    if (options.is_cancelled && options.is_cancelled()) throw Cancelled("cancelled");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

HttpResponse ask(const HttpRequest& given, const Spec& spec, const std::string& what,
                 const Options& options) {
  HttpRequest request = given;
  request.is_cancelled = options.is_cancelled;
  request.stall_seconds = options.stall_seconds;
  double pause = options.retry_seconds;
  for (int tries = 1;; ++tries, pause *= 2) {
    bool is_wanted = false;
    request.on_headers = [&](const HttpResponse& response) {
      is_wanted = is_ok(response.status);
      if (is_wanted && given.on_headers) given.on_headers(response);
    };
    request.on_body = [&](std::span<const std::byte> bytes) {
      if (is_wanted && given.on_body) given.on_body(bytes);
    };
    double wait_for = pause;
    std::string reason;
    try {
      HttpResponse response = http_get(request);
      throw_unless_ok(response, spec, what, options);
      return response;
    } catch (const TransportError& error) {
      check(tries < kTries, what, ": cannot get an answer of ", options.endpoint, ": ",
            error.what(),
            "; check the connection, or set HF_HUB_OFFLINE=1 to use only what is cached");
      reason = error.what();
      wait_for = std::max(pause, error.seconds());
    }
    log_info(what, ": ", reason, "; trying again in ", wait_for, " s");
    wait(wait_for, options);
  }
}

std::string ask_text(const std::string& url, const Spec& spec, const Options& options,
                     HttpResponse& response, std::size_t max_bytes) {
  std::string text;
  HttpRequest request{.url = url, .token = options.token};
  request.on_headers = [&](const HttpResponse&) { text.clear(); };
  request.on_body = [&](std::span<const std::byte> bytes) {
    check(text.size() + bytes.size() <= max_bytes, spec.repo, ": the answer of ", options.endpoint,
          " is longer than ", max_bytes, " bytes");
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  response = ask(request, spec, spec.repo, options);
  return text;
}

}  // namespace zimage::hub
