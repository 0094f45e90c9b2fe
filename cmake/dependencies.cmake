# Everything comes from Debian 12 packages; scripts/setup.sh installs them.
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(nlohmann_json REQUIRED)  # nlohmann-json3-dev
find_package(PNG REQUIRED)            # libpng-dev
find_package(JPEG REQUIRED)           # libjpeg-dev
find_package(PkgConfig REQUIRED)
pkg_check_modules(WEBP REQUIRED IMPORTED_TARGET libwebp libwebpmux libwebpdemux)  # libwebp-dev
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)          # libpcre2-dev
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)      # libutf8proc-dev
find_package(CURL REQUIRED)     # libcurl4-openssl-dev: downloads
find_package(OpenSSL REQUIRED)  # libssl-dev: hashes of what was downloaded
