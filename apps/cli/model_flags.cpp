#include "model_flags.h"

#include "interrupt.h"

namespace zimage::cli {

ModelFlags::ModelFlags(CLI::App& app) {
  app.add_option(
         "-m,--model", model_,
         "turbo (the default), base, demo, a hub id[:revision][:FILE], a snapshot folder or a "
         ".safetensors or .gguf file")
      ->type_name("MODEL");
  app.add_option("--weights-variant", weights_variant_, "fp16, bf16, ...: files of that variant")
      ->type_name("NAME");
  app.add_option("--base-model", base_model_,
                 "configurations, tokenizer and missing parts for a model that is a file")
      ->type_name("MODEL");
  app.add_option("--transformer", transformer_, "checkpoint that replaces the transformer")
      ->type_name("FILE");
  app.add_option("--text-encoder", text_encoder_, "checkpoint that replaces the text encoder")
      ->type_name("FILE");
  app.add_option("--vae", vae_, "checkpoint that replaces the VAE")->type_name("FILE");
}

ModelOptions ModelFlags::options(ProgressDisplay& display) const {
  ModelOptions options;
  options.weights_variant = weights_variant_;
  options.base_model = base_model_;
  options.transformer = transformer_;
  options.text_encoder = text_encoder_;
  options.vae = vae_;
  options.on_download = [&display](const DownloadProgress& progress) { display.show(progress); };
  options.is_cancelled = is_interrupted;
  return options;
}

}  // namespace zimage::cli
