-- A small site: known recipients, partners, routes, a tag on what comes from outside. Loads, and answers as its test says.
local gate = require "moongate"

gate.use("recipients", { map = "recipients", domains = { "example.org" } })
gate.use("senders", { allow = "partners", deny = "nuisances" })
gate.use("domains", { routes = { ["example.org"] = "smtp:192.0.2.10:25", [".example.org"] = "lmtp:unix:/run/lmtp" } })
gate.use("headers", { subject_tag = "[extern]", skip_trusted = true })

gate.on("connect", { name = "banner-delay", timeout = "5s" }, function(conn)
	if not conn.is_local then gate.sleep("10ms") end
end)

gate.on("ehlo", { name = "no-own-name" }, function(conn)
	if conn.helo == "mx.example.org" then return gate.reject(550, "5.7.1", "that is my name") end
end)

gate.on("mail", { name = "count", mode = "monitor" }, function(tx)
	tx.conn.vars.mails = (tx.conn.vars.mails or 0) + 1
	if tx.conn.vars.mails > 100 then return gate.defer(451, "4.7.1", "slow down") end
end)

gate.on("message", { name = "executables", skip_trusted = true }, function(tx, msg)
	for name, value in msg:fields() do
		if name:lower() == "content-type" and value:find("name=[^;]*%.exe") then
			tx:add_header("X-Executable", "yes")
			return gate.quarantine { bucket = "executables", ttl = "30d", reason = "an executable" }
		end
	end
end)

gate.on("result", { name = "patience" }, function(_, _, result)
	if result.code == 450 and result.age < gate.seconds("1h") then result:retry_in("2m") end
end)

gate.on("disconnect", { name = "bye" }, function(conn)
	gate.log("debug", "gone", { peer = conn.peer.ip, mails = conn.vars.mails or 0 })
end)
