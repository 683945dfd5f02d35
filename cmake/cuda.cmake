# Whether the CUDA backend is compiled, and for what.
#
# FASTPRE_CUDA:
#   AUTO   if nvcc is found
#   ON     nvcc must be there
#   OFF    CPU only: every name stays, and says what is missing
# nvcc is looked for as CMake does it: CUDACXX, PATH, and /usr/local/cuda.
#
# FASTPRE_CUDA_ARCHITECTURES:
#   all      every generation since Turing that this nvcc knows, and PTX for those to come: what wheels have
#   native   that of this machine's GPUs, or one where there is none, so that the code is at least compiled
#   a list   compute capabilities without dots: "80;90"

set(FASTPRE_CUDA AUTO CACHE STRING "CUDA backend: AUTO, ON or OFF")
set(FASTPRE_CUDA_ARCHITECTURES all CACHE STRING "all, native, or compute capabilities without dots")
set(FASTPRE_CUDA_FOUND OFF)

# Compute capabilities of this machine's GPUs that this nvcc can compile for; 90 where there is none.
function(fastpre_native_architectures result)
  set(native "")
  execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader
    OUTPUT_VARIABLE present RESULT_VARIABLE status ERROR_QUIET)
  execute_process(COMMAND ${CMAKE_CUDA_COMPILER} --list-gpu-code OUTPUT_VARIABLE known ERROR_QUIET)
  if(status EQUAL 0)
    string(REGEX MATCHALL "[0-9]+\\.[0-9]+" present "${present}")
    foreach(capability ${present})
      string(REPLACE "." "" arch ${capability})
      if(arch GREATER_EQUAL 75 AND "${known}" MATCHES "sm_${arch}[^0-9]")
        list(APPEND native ${arch})
      endif()
    endforeach()
    list(REMOVE_DUPLICATES native)
  endif()
  if(NOT native)
    set(native 90)
  endif()
  set(${result} ${native} PARENT_SCOPE)
endfunction()

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

# On two cores: 35 s for all seven, 8 s for one.
set(fastpre_architectures ${FASTPRE_CUDA_ARCHITECTURES})
if(FASTPRE_CUDA_ARCHITECTURES STREQUAL all)
  set(fastpre_architectures 75 80 86 89 90)
  if(CMAKE_CUDA_COMPILER_VERSION VERSION_GREATER_EQUAL 12.8)
    list(APPEND fastpre_architectures 100 120)
  endif()
elseif(FASTPRE_CUDA_ARCHITECTURES STREQUAL native)
  fastpre_native_architectures(fastpre_architectures)
elseif(NOT FASTPRE_CUDA_ARCHITECTURES MATCHES "^[0-9]+(;[0-9]+)*$")
  message(FATAL_ERROR "FASTPRE_CUDA_ARCHITECTURES must be all, native or a list such as \"80;90\", not "
                      "'${FASTPRE_CUDA_ARCHITECTURES}'")
endif()
# PTX that every other generation can take: Hopper's where that is compiled, else the newest.
set(fastpre_ptx 90)
if(NOT 90 IN_LIST fastpre_architectures)
  list(SORT fastpre_architectures COMPARE NATURAL)
  list(GET fastpre_architectures -1 fastpre_ptx)
endif()
set(fastpre_cuda_text "")
set(fastpre_gencode "")
foreach(arch ${fastpre_architectures})
  list(APPEND fastpre_gencode "SHELL:-gencode arch=compute_${arch},code=sm_${arch}")
  string(APPEND fastpre_cuda_text "sm_${arch} ")
endforeach()
list(APPEND fastpre_gencode "SHELL:-gencode arch=compute_${fastpre_ptx},code=compute_${fastpre_ptx}")
string(APPEND fastpre_cuda_text "and PTX for sm_${fastpre_ptx}")

# -fmad=false: as -ffp-contract=off for the host; exactness is a matter of which roundings happen.
add_library(fastpre_kernels OBJECT csrc/cuda/kernels/kernels.cu)
target_include_directories(fastpre_kernels PRIVATE csrc)
set_target_properties(fastpre_kernels PROPERTIES
  CUDA_ARCHITECTURES OFF CUDA_STANDARD 20 CUDA_STANDARD_REQUIRED ON CUDA_EXTENSIONS OFF
  CUDA_VISIBILITY_PRESET hidden POSITION_INDEPENDENT_CODE ON CUDA_RUNTIME_LIBRARY Static)
target_compile_options(fastpre_kernels PRIVATE ${fastpre_gencode} -fmad=false --threads=0 -lineinfo)
if(FASTPRE_WERROR)
  target_compile_options(fastpre_kernels PRIVATE -Werror=all-warnings)
endif()

# The toolkit's headers are this one file's: with CUDA or without, nothing else is compiled again.
target_sources(fastpre_core PRIVATE csrc/cuda/runtime_cuda.cpp $<TARGET_OBJECTS:fastpre_kernels>)
set_source_files_properties(csrc/cuda/runtime_cuda.cpp PROPERTIES
  COMPILE_DEFINITIONS "FASTPRE_CUDA_ARCHITECTURES_TEXT=\"${fastpre_cuda_text}\""
  INCLUDE_DIRECTORIES "${CUDAToolkit_INCLUDE_DIRS}")
target_link_libraries(fastpre_core PUBLIC $<LINK_ONLY:CUDA::cudart_static>)
message(STATUS "CUDA ${CMAKE_CUDA_COMPILER_VERSION}: ${fastpre_cuda_text}")
