add_library(zimage_compile_options INTERFACE)
# No fused multiply-adds but those that are written: torch rounds products by themselves.
target_compile_options(zimage_compile_options INTERFACE -Wall -Wextra -ffp-contract=off)
target_include_directories(zimage_compile_options INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src> $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
target_link_libraries(zimage_compile_options INTERFACE OpenMP::OpenMP_CXX)
if(ZIMAGE_FUZZERS)  # coverage everywhere, libFuzzer's main only in the fuzzers
  target_compile_options(zimage_compile_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(ZIMAGE_SANITIZE)
  target_compile_options(zimage_compile_options INTERFACE
    -fsanitize=${ZIMAGE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(zimage_compile_options INTERFACE -fsanitize=${ZIMAGE_SANITIZE})
endif()
