// Models of golden tests: weights built from a description that tools/reference/common.py wrote.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "io/json.h"
#include "io/safetensors.h"
#include "layers/weights.h"
#include "testing.h"

namespace zimage {

// mean +- spread, the same bits as uniform() of tools/reference/common.py.
inline Tensor seeded_uniform(std::string_view name, const Shape& shape, float mean, float spread) {
  std::uint64_t state = 0xcbf29ce484222325u;
  for (const char c : name) state = (state ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  Tensor t = empty(shape);
  for (std::int64_t i = 0; i < t.numel(); ++i) {
    state += 0x9e3779b97f4a7c15u;
    std::uint64_t z = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    const float unit = static_cast<float>(z >> 40) / (1 << 23) - 1.0f;
    t.data<float>()[i] = mean + spread * unit;
  }
  return t;
}

inline Tensor as_bf16(const Tensor& t) { return tensor_of(t.shape(), values_of(t), Dtype::kBf16); }

// Name to bf16 tensor, from the entries of "tensors".
inline std::map<std::string, Tensor> seeded_tensors(const Json& json) {
  std::map<std::string, Tensor> result;
  for (const Json& entry : json.objects("tensors")) {
    const auto name = entry.get<std::string>("name");
    const auto dims = entry.get<std::vector<std::int64_t>>("shape");
    result[name] = as_bf16(seeded_uniform(name, Shape(std::span(dims)), entry.get<float>("mean"),
                                          entry.get<float>("spread")));
  }
  return result;
}

// The description and golden values of one model, tests/data/<unit>/<name>.{json,safetensors}.
struct GoldenModel {
  GoldenModel(const std::string& unit, const std::string& name)
      : json(Json::parse_file(test_data(unit + "/" + name + ".json"))),
        golden(SafetensorsFile::open(test_data(unit + "/" + name + ".safetensors")).tensors()) {}

  std::map<std::string, Tensor> tensors() const { return seeded_tensors(json); }

  Json json;
  std::map<std::string, Tensor> golden;
};

inline WeightMap weight_map(const std::string& where,
                            const std::map<std::string, Tensor>& tensors) {
  WeightMap map(where);
  for (const auto& [name, tensor] : tensors) map.add(name, tensor);
  return map;
}

}  // namespace zimage
