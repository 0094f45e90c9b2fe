#pragma once

#include <stddef.h>
#include <stdio.h>
// jpeglib.h needs the two above.
#include <jpeglib.h>

#include <csetjmp>

namespace zimage {

// libjpeg's error handler: keeps the message and jumps, prints nothing.
struct JpegErrors : jpeg_error_mgr {
  JpegErrors();

  std::jmp_buf jump;
  char text[JMSG_LENGTH_MAX] = "";
};

// Leaves the running completes() with this message.
[[noreturn]] void jpeg_fail(j_common_ptr codec, const char* message);

// False when libjpeg jumped out of `calls`, which must own nothing that needs a destructor.
template <class Calls>
bool completes(JpegErrors& errors, const Calls& calls) {
  if (setjmp(errors.jump) != 0) return false;
  calls();
  return true;
}

}  // namespace zimage
