#include "models/registry.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>

#include "models/model_spec.h"
#include "testing.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using Kind = ModelSpec::Kind;

TEST(Registry, KnowsModelsByAliasAndIdWhateverTheCapitals) {
  EXPECT_EQ(find_known_model("turbo")->id, "Tongyi-MAI/Z-Image-Turbo");
  EXPECT_EQ(find_known_model(" Tongyi-MAI/Z-Image:main ")->alias, "base");
  EXPECT_EQ(find_known_model("mzbac/Z-Image-Turbo-8bit")->alias, "turbo-8bit");
  EXPECT_EQ(find_known_model("Tongyi-MAI/Z-Image-Edit"), nullptr);
  EXPECT_EQ(find_known_model(""), nullptr);
  EXPECT_EQ(find_known_model(":main"), nullptr);
}

TEST(Registry, GivesEveryModelACacheFolderOfItsOwn) {
  EXPECT_EQ(cache_folder_name("Tongyi-MAI/Z-Image"), "z-image");
  EXPECT_EQ(cache_folder_name("Tongyi-MAI/Z-Image-Turbo"), "z-image-turbo");
  EXPECT_EQ(cache_folder_name("mzbac/z-image-turbo-8bit"), "z-image-turbo");
  EXPECT_EQ(cache_folder_name("Some/Other_Model.v2!"), "some--other_model-v2");
  EXPECT_EQ(cache_folder_name("/"), "model");
}

TEST(Preset, IsChosenByNameWhenNothingElseTells) {
  EXPECT_EQ(family_of_name("my_Z_Image_turbo"), Family::kTurbo);
  EXPECT_EQ(family_of_name("zimage-8bit"), Family::kTurbo);
  EXPECT_EQ(family_of_name("a/z-image"), Family::kBase);
  EXPECT_FALSE(family_of_name("flux").has_value());
  EXPECT_EQ(choose_family("example/local-base-path", {}).family, Family::kTurbo);
  EXPECT_THAT(choose_family("example/local-base-path", {}).note, HasSubstr("unknown model"));
  EXPECT_EQ(choose_family("Tongyi-MAI/Z-Image", {}).family, Family::kBase);
  EXPECT_EQ(choose_family("Tongyi-MAI/Z-Image", {}).note, "");
  EXPECT_FALSE(family_of_metadata("").has_value());  // not what the current folder says
}

TEST(ModelSpec, TellsKindsOfNamesApart) {
  EXPECT_EQ(parse_model_spec("").repo, "Tongyi-MAI/Z-Image-Turbo");
  EXPECT_EQ(parse_model_spec("base:abc").repo, "Tongyi-MAI/Z-Image");
  EXPECT_EQ(parse_model_spec("base:abc").revision, "abc");
  EXPECT_EQ(parse_model_spec("org/name:refs/pr/1").revision, "refs/pr/1");
  EXPECT_EQ(parse_model_spec("demo").kind, Kind::kDemo);
  EXPECT_EQ(parse_model_spec("org/name").kind, Kind::kHub);
}

TEST(ModelSpec, NamesAFileOfARepository) {
  const ModelSpec file = parse_model_spec("org/name:sub/x.gguf");
  EXPECT_EQ(file.kind, Kind::kHub);
  EXPECT_EQ(file.repo, "org/name");
  EXPECT_EQ(file.revision, "");
  EXPECT_EQ(file.file, "sub/x.gguf");
  const ModelSpec both = parse_model_spec("org/name:refs/pr/1:x.safetensors");
  EXPECT_EQ(both.revision, "refs/pr/1");
  EXPECT_EQ(both.file, "x.safetensors");
  EXPECT_EQ(parse_model_spec("turbo:x.gguf").repo, "Tongyi-MAI/Z-Image-Turbo");
  EXPECT_EQ(parse_hub_spec("org/name:x.gguf")->file, "x.gguf");
  for (const char* text : {"x.gguf", "org/x.gguf", "/a/b:x.gguf", "nonsense", ""}) {
    EXPECT_FALSE(parse_hub_spec(text).has_value()) << text;
  }
  EXPECT_THAT(error_of([] { return parse_model_spec("/no/where:x.gguf"); }),
              HasSubstr("no such file or folder"));
  EXPECT_THAT(error_of([] { return parse_model_spec("demo:x.gguf"); }),
              HasSubstr("has no revisions and no files"));
}

TEST(ModelSpec, RefusesWhatIsNeitherPathNorName) {
  const auto error = [](const std::string& text) {
    return error_of([&] { return parse_model_spec(text); });
  };
  for (const char* local : {"/no/where", "./nowhere", "../nowhere", "~/no-such-thing",
                            "a.safetensors", "file:///no/where", "models/x.safetensors"}) {
    EXPECT_THAT(error(local), HasSubstr("no such file or folder")) << local;
  }
  for (const char* name : {"nonsense", "a/b/c", "models/x", "a..b/c", "../x/y/", "-a/b", "a/b-",
                           "x.y.z/model", "a b/c", "org/na\\me"}) {
    EXPECT_NE(error(name), "") << name;
  }
  EXPECT_THAT(error("org/name:"), HasSubstr("expected a revision"));
  EXPECT_THAT(error("org/name:../x"), HasSubstr("no branch, tag or commit"));
  EXPECT_THAT(error("demo:main"), HasSubstr("has no revisions"));
  EXPECT_THAT(error("file://host/x"), HasSubstr("expected file:///"));
  EXPECT_THAT(error("file:///a%2"), HasSubstr("hexadecimal"));
}

TEST(ModelSpec, ExistingPathsWinOverNames) {
  const TempDir dir;
  fs::create_directories(dir / "org/na me");
  const fs::path before = fs::current_path();
  fs::current_path(dir.path());
  fs::create_directories("org/name");
  EXPECT_EQ(parse_model_spec("org/name").kind, Kind::kFolder);
  fs::current_path(before);
  EXPECT_EQ(parse_model_spec("file://" + dir.path().string() + "/org/na%20me").path,
            dir / "org/na me");
  std::ofstream(dir / "x.safetensors") << "x";
  EXPECT_EQ(parse_model_spec((dir / "x.safetensors").string()).kind, Kind::kFile);
}

}  // namespace
}  // namespace zimage
