# Whether the CUDA backend is compiled, and for what.
#
# FASTPRE_CUDA:
#   AUTO   if nvcc is found
#   ON     nvcc must be there
#   OFF    CPU only: every name stays, and says what is missing
# nvcc is looked for as CMake does it: CUDACXX, PATH, and /usr/local/cuda.

set(FASTPRE_CUDA AUTO CACHE STRING "CUDA backend: AUTO, ON or OFF")
set(FASTPRE_CUDA_FOUND OFF)

if(NOT FASTPRE_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "FASTPRE_CUDA must be AUTO, ON or OFF, not '${FASTPRE_CUDA}'")
endif()
if(NOT FASTPRE_CUDA STREQUAL OFF)
  if(NOT DEFINED CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    find_program(FASTPRE_NVCC nvcc PATHS ENV CUDA_HOME ENV CUDA_PATH /usr/local/cuda PATH_SUFFIXES bin)
    if(FASTPRE_NVCC)
      set(CMAKE_CUDA_COMPILER ${FASTPRE_NVCC})
    endif()
  endif()
  # Kernels are named one by one below; CMake's own choice would only be compiled in the test of the compiler.
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES OFF)
  endif()
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(FASTPRE_CUDA_FOUND ON)
  elseif(FASTPRE_CUDA STREQUAL ON)
    message(FATAL_ERROR "FASTPRE_CUDA=ON, but no nvcc was found: put it on PATH, or set CUDACXX=/path/to/nvcc")
  endif()
endif()

if(NOT FASTPRE_CUDA_FOUND)
  message(STATUS "CUDA: off (${FASTPRE_CUDA}); device=\"cuda\" will say so")
  target_sources(fastpre_core PRIVATE csrc/cuda/unavailable.cpp)
  return()
endif()

enable_language(CUDA)
# CMake before 3.26 does not know that nvcc has C++20.
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
endif()
find_package(CUDAToolkit REQUIRED)

# Machine code for every generation since Turing that this nvcc knows, and PTX that every other one since Hopper can take,
# those to come included.
set(fastpre_cuda_architectures 75 80 86 89 90)
if(CMAKE_CUDA_COMPILER_VERSION VERSION_GREATER_EQUAL 12.8)
  list(APPEND fastpre_cuda_architectures 100 120)
endif()
set(FASTPRE_CUDA_ARCHITECTURES "${fastpre_cuda_architectures}" CACHE STRING "Compute capabilities, without dots")
set(fastpre_ptx 90)
if(NOT 90 IN_LIST FASTPRE_CUDA_ARCHITECTURES)
  list(GET FASTPRE_CUDA_ARCHITECTURES -1 fastpre_ptx)
endif()
set(fastpre_cuda_text "")
set(fastpre_gencode "")
foreach(arch ${FASTPRE_CUDA_ARCHITECTURES})
  list(APPEND fastpre_gencode "SHELL:-gencode arch=compute_${arch},code=sm_${arch}")
  string(APPEND fastpre_cuda_text "sm_${arch} ")
endforeach()
list(APPEND fastpre_gencode "SHELL:-gencode arch=compute_${fastpre_ptx},code=compute_${fastpre_ptx}")
string(APPEND fastpre_cuda_text "and PTX for sm_${fastpre_ptx}")

# -fmad=false: as -ffp-contract=off for the host; exactness is a matter of which roundings happen.
add_library(fastpre_kernels OBJECT csrc/cuda/kernels.cu)
target_include_directories(fastpre_kernels PRIVATE csrc)
set_target_properties(fastpre_kernels PROPERTIES
  CUDA_ARCHITECTURES OFF CUDA_STANDARD 20 CUDA_STANDARD_REQUIRED ON CUDA_EXTENSIONS OFF
  CUDA_VISIBILITY_PRESET hidden POSITION_INDEPENDENT_CODE ON CUDA_RUNTIME_LIBRARY Static)
target_compile_options(fastpre_kernels PRIVATE ${fastpre_gencode} -fmad=false --threads=0 -lineinfo)
if(FASTPRE_WERROR)
  target_compile_options(fastpre_kernels PRIVATE -Werror=all-warnings)
endif()

target_sources(fastpre_core PRIVATE csrc/cuda/runtime_cuda.cpp $<TARGET_OBJECTS:fastpre_kernels>)
set_source_files_properties(csrc/cuda/runtime_cuda.cpp PROPERTIES
  COMPILE_DEFINITIONS "FASTPRE_CUDA_ARCHITECTURES_TEXT=\"${fastpre_cuda_text}\"")
target_link_libraries(fastpre_core PUBLIC CUDA::cudart_static)
message(STATUS "CUDA ${CMAKE_CUDA_COMPILER_VERSION}: ${fastpre_cuda_text}")
