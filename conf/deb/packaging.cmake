# What `cmake --install` puts beside the program, and the Debian package that `cpack` makes of it.
# The file of /etc belongs to the package alone: `cmake --install` does not touch a system's.
set(component COMPONENT stsrelay)

# It has a folder for the UNIX socket that the example only mentions.
set(example ${PROJECT_SOURCE_DIR}/conf/relay.yaml)
set(packaged ${PROJECT_BINARY_DIR}/package/relay.yaml)
install(CODE "
  file(READ \"${example}\" text)
  string(REPLACE \"\\n#  - address: unix:\" \"\\n  - address: unix:\" text \"\${text}\")
  file(WRITE \"${packaged}\" \"\${text}\")" ${component} EXCLUDE_FROM_ALL)
install(FILES ${packaged} DESTINATION /etc/stsrelay ${component} EXCLUDE_FROM_ALL)
install(FILES ${CMAKE_CURRENT_LIST_DIR}/stsrelay.service DESTINATION lib/systemd/system ${component})
install(FILES ${CMAKE_CURRENT_LIST_DIR}/sysusers.conf DESTINATION lib/sysusers.d
  RENAME stsrelay.conf ${component})
install(FILES ${CMAKE_CURRENT_LIST_DIR}/tmpfiles.conf DESTINATION lib/tmpfiles.d
  RENAME stsrelay.conf ${component})
install(FILES ${PROJECT_SOURCE_DIR}/conf/completion/stsrelay.bash
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME stsrelay ${component})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/conf/monitoring/
  DESTINATION ${CMAKE_INSTALL_DATADIR}/stsrelay ${component})
install(FILES ${CMAKE_CURRENT_LIST_DIR}/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR} ${component})

# Compressed while they are installed, so that a build has nothing to keep up to date.
function(install_compressed file folder name)
  install(CODE "
    set(folder \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${folder}\")
    file(MAKE_DIRECTORY \"\${folder}\")
    execute_process(COMMAND gzip -9nc \"${file}\" OUTPUT_FILE \"\${folder}/${name}.gz\"
      COMMAND_ERROR_IS_FATAL ANY)" COMPONENT stsrelay)
endfunction()
install_compressed(${PROJECT_SOURCE_DIR}/conf/man/stsrelay.1 ${CMAKE_INSTALL_MANDIR}/man1 stsrelay.1)
install_compressed(${PROJECT_SOURCE_DIR}/conf/man/stsrelay.yaml.5 ${CMAKE_INSTALL_MANDIR}/man5
  stsrelay.yaml.5)
install_compressed(${CMAKE_CURRENT_LIST_DIR}/changelog ${CMAKE_INSTALL_DOCDIR} changelog)

set(CPACK_GENERATOR DEB)
set(CPACK_COMPONENTS_ALL stsrelay)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_CONTACT "stsrelay maintainers <stsrelay@example.org>")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_STSRELAY_PACKAGE_NAME stsrelay)
set(CPACK_DEBIAN_PACKAGE_SECTION mail)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "adduser, ca-certificates")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "dns-root-data")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "bash-completion, unbound")
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_COMPONENT_STSRELAY_DESCRIPTION
  "Decides before each STARTTLS what TLS a destination deserves by MTA-STS
(RFC 8461), DANE (RFC 7672), REQUIRETLS (RFC 8689) and the operator's own
rules, obeys that decision without exception, and counts every outcome for
TLS reports (RFC 8460).
.
It receives mail from the machines that it may relay for and sends it on. It
is no mail-transport-agent of the system and can sit beside one.")
set(CPACK_DEBIAN_STSRELAY_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_LIST_DIR}/postinst
  ${CMAKE_CURRENT_LIST_DIR}/prerm ${CMAKE_CURRENT_LIST_DIR}/postrm
  ${CMAKE_CURRENT_LIST_DIR}/conffiles)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
