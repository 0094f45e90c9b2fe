#include "models/gguf_tensors.h"

#include "core/check.h"
#include "io/printable.h"

namespace zimage {

const ops::BlockFormat& block_format(const std::string& type, const std::string& tensor,
                                     const std::string& where) {
  const ops::BlockFormat* const format = ops::find_block_format(type);
  if (format != nullptr) return *format;
  std::string names = "F32, F16, BF16";
  for (const ops::BlockFormat& known : ops::block_formats()) names += str(", ", known.name);
  throw Error(str(where, ": ", printable(tensor), " is ", type, ", which cannot be read; expected ",
                  names));
}

}  // namespace zimage
