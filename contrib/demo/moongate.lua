-- A gateway for example.com that delivers into local Maildirs: what ./contrib/quickstart runs.
return {
	hostname = "mx.example.com",
	listen = { { name = "mx", address = env("DEMO_LISTEN", "127.0.0.1:2525") } },
	control = "control.sock",
	spool = "spool",

	policy = "policy/policy.lua",
	domains = { "example.com" },
	maps = { recipients = "recipients.txt" },
	route = { ["example.com"] = "maildir:" .. env("DEMO_MAIL", "/tmp/moongate-mail") .. "/{local}" },
}
