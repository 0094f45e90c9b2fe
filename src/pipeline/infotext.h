#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zimage {

// The text about a picture that A1111's web UI writes and most tools read: lines of the prompt, a
// line "Negative prompt: ...", and the line "Steps: 9, Sampler: Euler, Seed: 42, ...".
struct Infotext {
  std::string prompt;
  std::string negative_prompt;                                  // empty: no such line
  std::vector<std::pair<std::string, std::string>> parameters;  // in this order
};

// Throws Error for fewer than three parameters, which readers take for a line of the prompt, and
// for keys that they do not see. The format has no way to say that a line of the prompt which
// starts with "Negative prompt:" is no negative prompt; everything else comes back from
// parse_infotext().
std::string format_infotext(const Infotext& info);

// Any text has a meaning: without parameters all of it is prompt.
Infotext parse_infotext(std::string_view text);

// The value of "CFG scale", where 1 stands for no guidance: neg + cfg * (pos - neg) instead of
// pos + guidance_scale * (pos - neg).
std::string cfg_scale_text(float guidance_scale);

}  // namespace zimage
