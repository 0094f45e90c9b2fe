# Kernels in cpu/kernels/*.cpp are compiled once per instruction set, in namespace
# zimage::cpu::ZIMAGE_ISA; dispatch.h picks one at start-up.
zimage_module(cpu DEPENDS core)

file(GLOB kernel_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cpu/kernels/*.cpp)

# zimage_kernels(<isa> <source list> <flag>...). No contraction: a fused multiply-add is written as
# mul_add.
function(zimage_kernels isa sources)
  add_library(zimage_cpu_${isa} OBJECT ${${sources}})
  target_link_libraries(zimage_cpu_${isa} PRIVATE zimage_compile_options)
  target_compile_definitions(zimage_cpu_${isa} PRIVATE ZIMAGE_ISA=${isa})
  target_compile_options(zimage_cpu_${isa} PRIVATE
    $<$<NOT:$<CONFIG:Debug>>:-O3> -ffp-contract=off -fno-math-errno -fno-trapping-math ${ARGN})
  target_sources(zimage_cpu PRIVATE $<TARGET_OBJECTS:zimage_cpu_${isa}>)
endfunction()

set(avx2_flags -mavx2 -mfma -mf16c)
set(avx512_flags ${avx2_flags} -mavx512f -mavx512bw -mavx512vl -mavx512dq)
zimage_kernels(scalar kernel_sources)
zimage_kernels(avx2 kernel_sources ${avx2_flags})
zimage_kernels(avx512 kernel_sources ${avx512_flags})

# Products by single instructions, in files of their own: not every AVX-512 machine has both.
set(bf16_sources ${CMAKE_CURRENT_SOURCE_DIR}/cpu/kernels/dot/product_bf16.cpp)
set(vnni_sources ${CMAKE_CURRENT_SOURCE_DIR}/cpu/kernels/dot/product_int8.cpp)
zimage_kernels(avx512_bf16 bf16_sources ${avx512_flags} -mavx512bf16)
zimage_kernels(avx512_vnni vnni_sources ${avx512_flags} -mavx512vnni)
