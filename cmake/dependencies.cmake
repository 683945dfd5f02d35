# libjpeg-turbo and Highway: the system's where they will do, else pinned sources.
#
# FASTPRE_LIBJPEG says where libjpeg-turbo comes from:
#   AUTO    the system's if it is 3.0 or later; else 3.1.3 from source if it can be downloaded; else the
#           system's if it is 2.1 or later
#   SYSTEM  the system's, 2.1 or later
#   FETCH   3.1.3 from source
# Why 3.0: Pillow's wheels bundle it. 2.1 gives the same pixels for every complete baseline and
# progressive stream, but smooths progressive streams that lack scans in another way, and does not
# decode lossless ones (docs/exactness.md).

include(FetchContent)
include(ExternalProject)

set(FASTPRE_LIBJPEG AUTO CACHE STRING "Where libjpeg-turbo comes from: AUTO, SYSTEM or FETCH")
set(FASTPRE_HWY AUTO CACHE STRING "Where Highway comes from: AUTO (system, else source), SYSTEM or FETCH")
set(FASTPRE_LIBJPEG_URL
    https://github.com/libjpeg-turbo/libjpeg-turbo/releases/download/3.1.3/libjpeg-turbo-3.1.3.tar.gz
    CACHE STRING "libjpeg-turbo's source archive")
set(FASTPRE_LIBJPEG_SHA256 075920b826834ac4ddf97661cc73491047855859affd671d52079c6867c1c6c0
    CACHE STRING "Its SHA-256")
set(FASTPRE_HWY_URL https://github.com/google/highway/archive/refs/tags/1.2.0.tar.gz
    CACHE STRING "Highway's source archive")
set(FASTPRE_HWY_SHA256 7e0be78b8318e8bdbf6fa545d2ecb4c90f947df03f7aadc42c1967f019e63343
    CACHE STRING "Its SHA-256")

# Downloads a pinned archive; `result` is its path, or empty with the reason in `${result}_reason`.
function(fastpre_download url sha256 result)
  get_filename_component(name "${url}" NAME)
  set(file "${CMAKE_BINARY_DIR}/downloads/${name}")
  if(NOT EXISTS "${file}")
    file(DOWNLOAD "${url}" "${file}.part" STATUS status TIMEOUT 120 INACTIVITY_TIMEOUT 15)
    list(GET status 0 code)
    if(NOT code EQUAL 0)
      list(GET status 1 reason)
      file(REMOVE "${file}.part")
      set(${result} "" PARENT_SCOPE)
      set(${result}_reason "${reason}" PARENT_SCOPE)
      return()
    endif()
    file(RENAME "${file}.part" "${file}")
  endif()
  file(SHA256 "${file}" hash)
  if(NOT hash STREQUAL sha256)
    file(REMOVE "${file}")
    message(FATAL_ERROR "${url} has SHA-256 ${hash}, expected ${sha256}")
  endif()
  set(${result} "${file}" PARENT_SCOPE)
endfunction()

# --- libjpeg-turbo ---------------------------------------------------------------------------

add_library(fastpre_jpeg INTERFACE)
set(turbo_version 0)
if(NOT FASTPRE_LIBJPEG STREQUAL FETCH)
  find_package(JPEG QUIET)
  if(JPEG_FOUND)
    # Debian keeps jconfig.h in the architecture's include folder.
    find_file(FASTPRE_JCONFIG jconfig.h
      PATHS ${JPEG_INCLUDE_DIRS} ${JPEG_INCLUDE_DIR}/${CMAKE_LIBRARY_ARCHITECTURE} ${JPEG_INCLUDE_DIR} NO_CACHE)
    if(FASTPRE_JCONFIG)
      file(STRINGS "${FASTPRE_JCONFIG}" turbo_line REGEX "LIBJPEG_TURBO_VERSION ")
      string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" turbo_version "${turbo_line}")
    endif()
  endif()
endif()

# On x86 its SIMD code is assembly; without an assembler the build would be several times slower.
set(turbo_buildable ON)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|i.86")
  find_program(FASTPRE_NASM NAMES nasm yasm)
  if(NOT FASTPRE_NASM)
    set(turbo_buildable OFF)
    set(turbo_archive_reason "building it needs nasm")
  endif()
endif()

set(turbo_archive "")
if(turbo_buildable AND
   (FASTPRE_LIBJPEG STREQUAL FETCH OR (FASTPRE_LIBJPEG STREQUAL AUTO AND turbo_version VERSION_LESS 3.0)))
  fastpre_download("${FASTPRE_LIBJPEG_URL}" "${FASTPRE_LIBJPEG_SHA256}" turbo_archive)
endif()

if(turbo_archive)
  # libjpeg-turbo refuses to be a subproject, so it is built aside and linked statically.
  set(turbo_prefix ${CMAKE_BINARY_DIR}/libjpeg-turbo)
  ExternalProject_Add(libjpeg_turbo_build
    URL ${turbo_archive}
    URL_HASH SHA256=${FASTPRE_LIBJPEG_SHA256}
    DOWNLOAD_EXTRACT_TIMESTAMP OFF
    CMAKE_ARGS -DCMAKE_BUILD_TYPE=Release -DENABLE_SHARED=OFF -DWITH_TURBOJPEG=OFF -DWITH_JAVA=OFF
               -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DCMAKE_INSTALL_PREFIX=${turbo_prefix}
               -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_C_COMPILER=${CMAKE_C_COMPILER}
    BUILD_BYPRODUCTS ${turbo_prefix}/lib/libjpeg.a)
  add_dependencies(fastpre_jpeg libjpeg_turbo_build)
  file(MAKE_DIRECTORY ${turbo_prefix}/include)
  target_include_directories(fastpre_jpeg INTERFACE ${turbo_prefix}/include)
  target_link_libraries(fastpre_jpeg INTERFACE ${turbo_prefix}/lib/libjpeg.a)
  message(STATUS "libjpeg-turbo: from source (${FASTPRE_LIBJPEG_URL})")
elseif(turbo_version VERSION_GREATER_EQUAL 2.1)
  target_link_libraries(fastpre_jpeg INTERFACE JPEG::JPEG)
  message(STATUS "libjpeg-turbo ${turbo_version}: ${JPEG_LIBRARIES}")
  if(turbo_version VERSION_LESS 3.0)
    message(STATUS "libjpeg-turbo ${turbo_version} is before 3.0: incomplete progressive JPEGs are smoothed as that "
                   "release does, and lossless JPEGs are refused (docs/exactness.md)")
  endif()
else()
  message(FATAL_ERROR "libjpeg-turbo 2.1 or later is needed, and could not be downloaded (${turbo_archive_reason}). "
                      "Install it: Debian, Ubuntu: apt install libjpeg-dev; Fedora: dnf install "
                      "libjpeg-turbo-devel; macOS: brew install jpeg-turbo")
endif()

# --- Highway ---------------------------------------------------------------------------------

add_library(fastpre_hwy INTERFACE)
if(NOT FASTPRE_HWY STREQUAL FETCH)
  find_package(hwy CONFIG QUIET)
  if(NOT hwy_FOUND)
    find_path(FASTPRE_HWY_INCLUDE hwy/highway.h)
    find_library(FASTPRE_HWY_LIBRARY hwy)
  endif()
endif()
# Releases before 1.0.3 lack what the kernels use; Ubuntu 22.04 has such a one.
set(hwy_usable OFF)
if(hwy_FOUND)
  get_target_property(hwy_include hwy::hwy INTERFACE_INCLUDE_DIRECTORIES)
elseif(FASTPRE_HWY_INCLUDE AND FASTPRE_HWY_LIBRARY)
  set(hwy_include ${FASTPRE_HWY_INCLUDE})
endif()
if(hwy_include)
  set(hwy_version "")
  foreach(part MAJOR MINOR PATCH)
    foreach(header base.h highway.h)
      if(EXISTS "${hwy_include}/hwy/${header}")
        file(STRINGS "${hwy_include}/hwy/${header}" line REGEX "define HWY_${part} [0-9]+")
        if(line MATCHES "HWY_${part} ([0-9]+)")
          string(APPEND hwy_version "${CMAKE_MATCH_1}.")
          break()
        endif()
      endif()
    endforeach()
  endforeach()
  string(REGEX REPLACE "\\.$" "" hwy_version "${hwy_version}")
  if(hwy_version VERSION_GREATER_EQUAL 1.0.3)
    set(hwy_usable ON)
  else()
    message(STATUS "Highway ${hwy_version} is too old (1.0.3 is needed)")
  endif()
endif()
if(hwy_usable AND hwy_FOUND)
  target_link_libraries(fastpre_hwy INTERFACE hwy::hwy)
  message(STATUS "Highway ${hwy_version}: ${hwy_DIR}")
elseif(hwy_usable)
  target_include_directories(fastpre_hwy INTERFACE ${FASTPRE_HWY_INCLUDE})
  target_link_libraries(fastpre_hwy INTERFACE ${FASTPRE_HWY_LIBRARY})
  message(STATUS "Highway ${hwy_version}: ${FASTPRE_HWY_LIBRARY}")
else()
  set(hwy_archive "")
  if(NOT FASTPRE_HWY STREQUAL SYSTEM)
    fastpre_download("${FASTPRE_HWY_URL}" "${FASTPRE_HWY_SHA256}" hwy_archive)
  endif()
  if(NOT hwy_archive)
    message(FATAL_ERROR "Highway 1.0.3 or later was not found and could not be downloaded (${hwy_archive_reason}). Install it: "
                        "Debian, Ubuntu: apt install libhwy-dev; Fedora: dnf install highway-devel; "
                        "macOS: brew install highway")
  endif()
  foreach(part TESTS EXAMPLES CONTRIB INSTALL)
    set(HWY_ENABLE_${part} OFF CACHE BOOL "" FORCE)
  endforeach()
  set(HWY_FORCE_STATIC_LIBS ON CACHE BOOL "" FORCE)
  FetchContent_Declare(highway URL ${hwy_archive} URL_HASH SHA256=${FASTPRE_HWY_SHA256} DOWNLOAD_EXTRACT_TIMESTAMP OFF)
  FetchContent_MakeAvailable(highway)
  target_link_libraries(fastpre_hwy INTERFACE hwy)
  message(STATUS "Highway: from source (${FASTPRE_HWY_URL})")
endif()
