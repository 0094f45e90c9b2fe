#pragma once

#include <string>

#include "hub/http.h"
#include "hub/hub.h"

namespace zimage::hub {

// http_get() with patience: broken lines, 429 and 5xx are tried again, later each time. Other
// answers than 2xx throw Error in words. `what` names what is fetched ("org/name", a file of it).
// Callbacks see 2xx answers only.
HttpResponse ask(const HttpRequest& request, const Spec& spec, const std::string& what,
                 const Options& options);

// Nothing for 2xx; TransportError for what may pass (429, 5xx), else Error in words.
void throw_unless_ok(const HttpResponse& response, const Spec& spec, const std::string& what,
                     const Options& options);

// ask() into a text of at most max_bytes.
std::string ask_text(const std::string& url, const Spec& spec, const Options& options,
                     HttpResponse& response, std::size_t max_bytes);

// Waits unless cancelled.
void wait(double seconds, const Options& options);

}  // namespace zimage::hub
