// Pictures with adapters that diffusers and PEFT wrote and loaded themselves;
// tools/reference/make_lora_pictures.py made them.
#include <gmock/gmock.h>

#include "picture_testing.h"

namespace zimage {
namespace {

std::vector<AdapterOptions> adapters_of(const Json& json) {
  const auto names = json.get<std::vector<std::string>>("adapters");
  const auto scales = json.get<std::vector<float>>("scales");
  std::vector<AdapterOptions> result;
  for (std::size_t i = 0; i < names.size(); ++i) {
    result.push_back(
        {.source = test_data("lora_pictures/" + names[i]).string(), .scale = scales.at(i)});
  }
  return result;
}

void draw_all(bool is_merged) {
  const Json json = Json::parse_file(test_data("lora_pictures/cases.json"));
  const GenerateOptions options = options_of(json.object("case"));
  PipelineOptions how{.dtype = ComputeDtype::kF32, .merge_adapters = is_merged};
  Pipeline pipeline(test_snapshot(), how);
  int i = 0;
  for (const Json& one : json.objects("cases")) {
    how.adapters = adapters_of(one);
    SCOPED_TRACE(str(i, ".png: ", how.adapters.front().source));
    pipeline.use_adapters(how);
    const Image theirs = read_image(test_data(str("lora_pictures/", i++, ".png"))).image;
    const Difference d = difference(pipeline.generate(options).front(), theirs);
    EXPECT_GE(d.psnr, 50);
    EXPECT_GE(d.share_within, 0.99);
    for (const AppliedAdapter& adapter : pipeline.adapters()) {
      EXPECT_EQ(adapter.applied, adapter.modules) << report_of(adapter);
    }
  }
}

TEST(LoraPictures, AreThoseOfDiffusersAndPeft) { draw_all(false); }
TEST(LoraPictures, AreTheSameWithMergedAdapters) { draw_all(true); }

}  // namespace
}  // namespace zimage
