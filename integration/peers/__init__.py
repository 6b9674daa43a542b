"""Scripted peers for the integration tests: a CA, a DNS server, policy hosts and MX hosts."""
