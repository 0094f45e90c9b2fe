# Kernels in cpu/kernels/*.cpp are compiled once per instruction set, in namespace
# zimage::cpu::ZIMAGE_ISA; dispatch.cpp picks one at start-up.
zimage_module(cpu DEPENDS core PRIVATE DNNL::dnnl)
