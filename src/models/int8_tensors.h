#pragma once

#include <string>

#include "ops/int8.h"

namespace zimage {

// A weight in ComfyUI's int8_tensorwise format with what lies beside it.
struct StoredInt8 {
  Tensor values;            // [out, in] I8
  Tensor scale;             // F32: [out], [out, 1] or one number
  Tensor marker;            // U8: JSON, {"format": "int8_tensorwise", "convrot": true, ...}
  std::string name, where;  // of the weight and its checkpoint, for messages
};

// Throws Error for another format, an orig_shape that is not the shape, a scale that does not fit
// and a rotation that does not.
ops::Int8Matrix int8_matrix(const StoredInt8& stored);

}  // namespace zimage
