include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/zimage)
install(TARGETS zimage EXPORT zimageTargets)
install(TARGETS zimage_cli RUNTIME)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/zimage DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/models/demo DESTINATION ${CMAKE_INSTALL_DATADIR}/zimage/models)
install(EXPORT zimageTargets NAMESPACE zimage:: DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/zimageConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/zimageConfigVersion.cmake
              ${PROJECT_SOURCE_DIR}/cmake/zimageConfig.cmake
              ${PROJECT_SOURCE_DIR}/cmake/dependencies.cmake
        DESTINATION ${package_dir})
