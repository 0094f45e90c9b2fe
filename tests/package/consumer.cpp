#include <zimage/pipeline.h>

#include <iostream>

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  zimage::Pipeline pipeline(argv[1]);
  zimage::GenerateOptions options = pipeline.defaults();
  options.prompt = "a red fox in the snow";
  options.width = options.height = 64;
  options.seed = 42;
  zimage::write_image(argv[2], pipeline.generate(options).front());
  std::cout << "wrote " << argv[2] << '\n';
}
