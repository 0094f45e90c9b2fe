#include "models/mlx_tensors.h"

#include <vector>

#include "core/check.h"
#include "io/printable.h"

namespace zimage {
namespace {

std::vector<ops::MlxFormat> fitting_formats(const ops::MlxHeader& header) {
  std::vector<ops::MlxFormat> formats;
  for (const ops::MlxFormat& format : ops::mlx_formats()) {
    if (fits(header, format)) formats.push_back(format);
  }
  return formats;
}

std::string names_of(const std::vector<ops::MlxFormat>& formats) {
  std::string names;
  for (const ops::MlxFormat& format : formats) {
    names += str(names.empty() ? "" : " or ", name_of(format));
  }
  return names;
}

}  // namespace

ops::MlxFormat mlx_format(const StoredMlx& s, const std::optional<MlxManifest>& manifest) {
  const auto fitting = fitting_formats(s.header);
  const std::string what = str(s.where, ": ", printable(s.name), " is ", s.header);
  check(!fitting.empty(), what,
        ": expected MLX's affine format with 4 or 8 bits and groups of 32, 64 or 128, or mxfp4");
  if (!manifest) {
    check(fitting.size() == 1, what, ": ", names_of(fitting), "; a ", kMlxManifest, " (",
          kMlxControlManifest, " of a control network) beside it has to tell which");
    return fitting.front();
  }
  const auto [format, in_dim, out_dim] = manifest->layer(s.component, s.name);
  check(fits(s.header, format), what, ": expected ", name_of(format), " as ", manifest->where(),
        " says; it may be ", names_of(fitting));
  const Shape shape = shape_of(s.header, format);
  check((in_dim == 0 || in_dim == shape[1]) && (out_dim == 0 || out_dim == shape[0]), what,
        ": are ", shape, " weights of ", name_of(format), ", but ", manifest->where(),
        " says in_dim ", in_dim, " and out_dim ", out_dim, " (0: nothing)");
  return format;
}

}  // namespace zimage
