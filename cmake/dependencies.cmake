# libjpeg-turbo and Highway: the system's where it has them, else a pinned source archive.

include(FetchContent)

set(FASTPRE_LIBJPEG_URL https://github.com/libjpeg-turbo/libjpeg-turbo/releases/download/3.1.3/libjpeg-turbo-3.1.3.tar.gz)
set(FASTPRE_LIBJPEG_SHA256 075920b826834ac4ddf97661cc73491047855859affd671d52079c6867c1c6c0)
set(FASTPRE_HWY_URL https://github.com/google/highway/archive/refs/tags/1.2.0.tar.gz)
set(FASTPRE_HWY_SHA256 7e0be78b8318e8bdbf6fa545d2ecb4c90f947df03f7aadc42c1967f019e63343)

# --- libjpeg-turbo ---------------------------------------------------------------------------
add_library(fastpre_jpeg INTERFACE)
if(NOT FASTPRE_FETCH)
  find_package(JPEG QUIET)
endif()
if(JPEG_FOUND)
  # Debian keeps jconfig.h in the architecture's include folder.
  find_file(FASTPRE_JCONFIG jconfig.h
    PATHS ${JPEG_INCLUDE_DIRS} ${JPEG_INCLUDE_DIR}/${CMAKE_LIBRARY_ARCHITECTURE} ${JPEG_INCLUDE_DIR} NO_CACHE)
  if(FASTPRE_JCONFIG)
    file(STRINGS "${FASTPRE_JCONFIG}" turbo_line REGEX "LIBJPEG_TURBO_VERSION ")
  endif()
  string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" turbo_version "${turbo_line}")
endif()
if(JPEG_FOUND AND turbo_version VERSION_GREATER_EQUAL 2.1.0)
  message(STATUS "libjpeg-turbo ${turbo_version}: ${JPEG_LIBRARIES}")
  target_link_libraries(fastpre_jpeg INTERFACE JPEG::JPEG)
else()
  if(NOT FASTPRE_FETCH)
    message(STATUS "libjpeg-turbo >= 2.1 not found (Debian, Ubuntu: apt install libjpeg-turbo8-dev or "
                   "libjpeg62-turbo-dev; Fedora: dnf install libjpeg-turbo-devel); downloading 3.1.3")
  endif()
  # libjpeg-turbo refuses to be a subproject, so it is built aside and linked statically.
  include(ExternalProject)
  set(turbo_prefix ${CMAKE_BINARY_DIR}/libjpeg-turbo)
  ExternalProject_Add(libjpeg_turbo_build
    URL ${FASTPRE_LIBJPEG_URL}
    URL_HASH SHA256=${FASTPRE_LIBJPEG_SHA256}
    DOWNLOAD_EXTRACT_TIMESTAMP OFF
    CMAKE_ARGS -DCMAKE_BUILD_TYPE=Release -DENABLE_SHARED=OFF -DWITH_TURBOJPEG=OFF
               -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DCMAKE_INSTALL_PREFIX=${turbo_prefix}
               -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_C_COMPILER=${CMAKE_C_COMPILER}
    BUILD_BYPRODUCTS ${turbo_prefix}/lib/libjpeg.a)
  add_dependencies(fastpre_jpeg libjpeg_turbo_build)
  file(MAKE_DIRECTORY ${turbo_prefix}/include)
  target_include_directories(fastpre_jpeg INTERFACE ${turbo_prefix}/include)
  target_link_libraries(fastpre_jpeg INTERFACE ${turbo_prefix}/lib/libjpeg.a)
endif()

# --- Highway ---------------------------------------------------------------------------------
add_library(fastpre_hwy INTERFACE)
if(NOT FASTPRE_FETCH)
  find_package(hwy CONFIG QUIET)
  if(NOT hwy_FOUND)
    find_path(FASTPRE_HWY_INCLUDE hwy/highway.h)
    find_library(FASTPRE_HWY_LIBRARY hwy)
  endif()
endif()
if(hwy_FOUND)
  target_link_libraries(fastpre_hwy INTERFACE hwy::hwy)
  message(STATUS "Highway ${hwy_VERSION}: ${hwy_DIR}")
elseif(FASTPRE_HWY_INCLUDE AND FASTPRE_HWY_LIBRARY)
  target_include_directories(fastpre_hwy INTERFACE ${FASTPRE_HWY_INCLUDE})
  target_link_libraries(fastpre_hwy INTERFACE ${FASTPRE_HWY_LIBRARY})
  message(STATUS "Highway: ${FASTPRE_HWY_LIBRARY}")
else()
  if(NOT FASTPRE_FETCH)
    message(STATUS "Highway not found (Debian, Ubuntu: apt install libhwy-dev; Fedora: dnf install "
                   "highway-devel); downloading 1.2.0")
  endif()
  set(HWY_ENABLE_TESTS OFF CACHE BOOL "" FORCE)
  set(HWY_ENABLE_EXAMPLES OFF CACHE BOOL "" FORCE)
  set(HWY_ENABLE_CONTRIB OFF CACHE BOOL "" FORCE)
  set(HWY_ENABLE_INSTALL OFF CACHE BOOL "" FORCE)
  set(HWY_FORCE_STATIC_LIBS ON CACHE BOOL "" FORCE)
  FetchContent_Declare(highway URL ${FASTPRE_HWY_URL} URL_HASH SHA256=${FASTPRE_HWY_SHA256}
                       DOWNLOAD_EXTRACT_TIMESTAMP OFF)
  FetchContent_MakeAvailable(highway)
  target_link_libraries(fastpre_hwy INTERFACE hwy)
endif()
