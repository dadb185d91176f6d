-- The plain relay: accepts mail for some domains from any client and hands all of it to one next hop. Everything comes from
-- the environment, for containers and comparisons:
--
--   MOONGATE_LISTEN    127.0.0.1:2525   where to listen; several addresses with commas between them
--   MOONGATE_DOMAINS   example.com      domains to accept mail for, likewise; * for all, where every listener is local
--   MOONGATE_NEXT_HOP  127.0.0.1:2526   where all of it goes; lmtp:ADDRESS and maildir:/PATH too
--   MOONGATE_SPOOL     /var/spool/moongate
--   MOONGATE_SPOOL_KEY (none)          its key file, when it shall be sealed
--   MOONGATE_CONTROL   /run/moongate/control.sock
--   MOONGATE_RETRY     5m               first retry
--   MOONGATE_POLICY    (none)           a policy file, whose handlers run before the relay's own rule
--
--   moongate -c contrib/relay/moongate.lua serve --single

local domains = list(env("MOONGATE_DOMAINS", "example.com"))

return {
	listen = list(env("MOONGATE_LISTEN", "127.0.0.1:2525")),
	control = env("MOONGATE_CONTROL"),
	spool = env("MOONGATE_SPOOL"),
	spool_key = env("MOONGATE_SPOOL_KEY"),
	policy = env("MOONGATE_POLICY"),

	domains = domains[1] ~= "*" and domains or nil, -- their postmaster is accepted whatever the policy says
	relay = { domains = domains, to = env("MOONGATE_NEXT_HOP", "127.0.0.1:2526") },
	retry = { first = env("MOONGATE_RETRY") },
}
