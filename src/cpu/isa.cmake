# Kernels in cpu/kernels/*.cpp are compiled once per instruction set, in namespace
# zimage::cpu::ZIMAGE_ISA; dispatch.h picks one at start-up.
zimage_module(cpu DEPENDS core PRIVATE DNNL::dnnl)

file(GLOB kernel_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cpu/kernels/*.cpp)

# zimage_kernels(<isa> <flag>...). No contraction: a fused multiply-add is written as mul_add.
function(zimage_kernels isa)
  add_library(zimage_cpu_${isa} OBJECT ${kernel_sources})
  target_link_libraries(zimage_cpu_${isa} PRIVATE zimage_compile_options)
  target_compile_definitions(zimage_cpu_${isa} PRIVATE ZIMAGE_ISA=${isa})
  target_compile_options(zimage_cpu_${isa} PRIVATE
    $<$<NOT:$<CONFIG:Debug>>:-O3> -ffp-contract=off -fno-math-errno -fno-trapping-math ${ARGN})
  target_sources(zimage_cpu PRIVATE $<TARGET_OBJECTS:zimage_cpu_${isa}>)
endfunction()

zimage_kernels(scalar)
zimage_kernels(avx2 -mavx2 -mfma -mf16c)
zimage_kernels(avx512 -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vl -mavx512dq)
