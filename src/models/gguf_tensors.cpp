#include "models/gguf_tensors.h"

#include "core/check.h"
#include "io/printable.h"
#include "ops/block_rows.h"

namespace zimage {

std::string unreadable_type(const std::string& type, const std::string& tensor,
                            const std::string& where) {
  std::string names = "F32, F16, BF16";
  for (const ops::BlockFormat& known : ops::block_formats()) names += str(", ", known.name);
  return str(where, ": ", printable(tensor), " is ", type, ", which cannot be read; expected ",
             names);
}

}  // namespace zimage
