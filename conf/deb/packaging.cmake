# What `cmake --install` puts beside the program, and the two Debian packages that `cpack` makes of
# it: stsrelay, and stsrelay-mta, which makes it the mail-transport-agent of a system.
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
foreach(socket smtp submission submissions metrics)
  install(FILES ${CMAKE_CURRENT_LIST_DIR}/stsrelay-${socket}.socket DESTINATION lib/systemd/system
    ${component})
endforeach()
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
function(install_compressed part file folder name)
  install(CODE "
    set(folder \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${folder}\")
    file(MAKE_DIRECTORY \"\${folder}\")
    execute_process(COMMAND gzip -9nc \"${file}\" OUTPUT_FILE \"\${folder}/${name}.gz\"
      COMMAND_ERROR_IS_FATAL ANY)" COMPONENT ${part} ${ARGN})
endfunction()
install_compressed(stsrelay ${PROJECT_SOURCE_DIR}/conf/man/stsrelay.1 ${CMAKE_INSTALL_MANDIR}/man1 stsrelay.1)
install_compressed(stsrelay ${PROJECT_SOURCE_DIR}/conf/man/stsrelay.yaml.5 ${CMAKE_INSTALL_MANDIR}/man5
  stsrelay.yaml.5)
install_compressed(stsrelay ${CMAKE_CURRENT_LIST_DIR}/changelog ${CMAKE_INSTALL_DOCDIR} changelog)

# The mail-transport-agent: names that other programs know (FHS 4.10 and 5.12, Debian Policy 11.6).
# `cmake --install` leaves them alone, because a system has them from somewhere.
function(install_link target folder name)
  install(CODE "
    set(folder \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${folder}\")
    file(MAKE_DIRECTORY \"\${folder}\")
    file(CREATE_LINK \"${target}\" \"\${folder}/${name}\" SYMBOLIC)"
    COMPONENT mta EXCLUDE_FROM_ALL)
endfunction()
install_link(../bin/stsrelay sbin sendmail)
install_link(../bin/stsrelay lib sendmail)
# Aliases are not the task of a relay, so that nothing is to be made of them.
install_link(true bin newaliases)
install(PROGRAMS ${CMAKE_CURRENT_LIST_DIR}/mailq DESTINATION bin COMPONENT mta EXCLUDE_FROM_ALL)
install_link(stsrelay.1.gz ${CMAKE_INSTALL_MANDIR}/man1 mailq.1.gz)
install_link(stsrelay.1.gz ${CMAKE_INSTALL_MANDIR}/man1 newaliases.1.gz)
install_link(../man1/stsrelay.1.gz ${CMAKE_INSTALL_MANDIR}/man8 sendmail.8.gz)
install(FILES ${CMAKE_CURRENT_LIST_DIR}/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR}-mta
  COMPONENT mta EXCLUDE_FROM_ALL)
install_compressed(mta ${CMAKE_CURRENT_LIST_DIR}/changelog ${CMAKE_INSTALL_DOCDIR}-mta changelog
  EXCLUDE_FROM_ALL)

set(CPACK_GENERATOR DEB)
set(CPACK_COMPONENTS_ALL stsrelay mta)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_CONTACT "stsrelay maintainers <stsrelay@example.org>")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_STSRELAY_PACKAGE_NAME stsrelay)
set(CPACK_DEBIAN_PACKAGE_SECTION mail)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_STSRELAY_PACKAGE_DEPENDS "adduser, ca-certificates")
set(CPACK_DEBIAN_STSRELAY_PACKAGE_RECOMMENDS "dns-root-data")
set(CPACK_DEBIAN_STSRELAY_PACKAGE_SUGGESTS "bash-completion, unbound")
set(CPACK_DEBIAN_STSRELAY_PACKAGE_SHLIBDEPS ON)
set(CPACK_COMPONENT_STSRELAY_DESCRIPTION
  "Decides before each STARTTLS what TLS a destination deserves by MTA-STS
(RFC 8461), DANE (RFC 7672), REQUIRETLS (RFC 8689) and the operator's own
rules, obeys that decision without exception, and counts every outcome for
TLS reports (RFC 8460).
.
It receives mail from the machines that it may relay for and sends it on. It
is no mail-transport-agent of the system and can sit beside one; the package
stsrelay-mta makes it that.")
set(CPACK_DEBIAN_STSRELAY_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_LIST_DIR}/postinst
  ${CMAKE_CURRENT_LIST_DIR}/prerm ${CMAKE_CURRENT_LIST_DIR}/postrm
  ${CMAKE_CURRENT_LIST_DIR}/conffiles)
set(CPACK_DEBIAN_MTA_PACKAGE_NAME stsrelay-mta)
set(CPACK_DEBIAN_MTA_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_MTA_PACKAGE_PROVIDES mail-transport-agent)
set(CPACK_DEBIAN_MTA_PACKAGE_CONFLICTS mail-transport-agent)
set(CPACK_DEBIAN_MTA_PACKAGE_REPLACES mail-transport-agent)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS ON)
set(CPACK_COMPONENT_MTA_DEPENDS stsrelay)
set(CPACK_COMPONENT_MTA_DESCRIPTION
  "Makes stsrelay the mail-transport-agent of a system: sendmail, mailq and
newaliases, for programs that hand over mail by them. All mail is relayed;
there are no local mailboxes.")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
