# find_package(zimage) then target_link_libraries(... zimage::zimage).
include(${CMAKE_CURRENT_LIST_DIR}/dependencies.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/zimageTargets.cmake)
