#include "io/jpeg_error.h"

#include <jerror.h>

#include <cstdio>

namespace zimage {
namespace {

[[noreturn]] void on_error(j_common_ptr codec) {
  auto& errors = *static_cast<JpegErrors*>(codec->err);
  errors.format_message(codec, errors.text);
  std::longjmp(errors.jump, 1);
}

// Warnings after which libjpeg makes pixels up.
bool is_damage(int code) {
  switch (code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC: return true;
    default: return false;
  }
}

void on_message(j_common_ptr codec, int level) {
  if (level < 0 && is_damage(codec->err->msg_code)) on_error(codec);
}

void on_output(j_common_ptr) {}

}  // namespace

JpegErrors::JpegErrors() {
  jpeg_std_error(this);
  error_exit = on_error;
  emit_message = on_message;
  output_message = on_output;
}

void jpeg_fail(j_common_ptr codec, const char* message) {
  auto& errors = *static_cast<JpegErrors*>(codec->err);
  std::snprintf(errors.text, sizeof errors.text, "%s", message);
  std::longjmp(errors.jump, 1);
}

}  // namespace zimage
