-- domains: routes recipients by their domain.
--
-- A domain is looked up in `routes`, then in `map`: first as it is, then with its first labels cut off as ".example.org". What is
-- found there is the next hop: "smtp:192.0.2.1:25", "[2001:db8::1]:25", "lmtp:unix:/run/lmtp.sock", "maildir:/var/mail/{local}".
--
-- Options: routes  { ["example.org"] = "smtp:192.0.2.1:25", [".example.net"] = "192.0.2.2:25" }
--          map     name of a map of the same
--          permit  also permit the recipients that have a route (default: true)
-- Example: gate.use("domains", { map = "routes" })
return {
	options = {
		routes = { type = "table", default = {}, doc = "domain to next hop" },
		map = { type = "map", doc = "name of a map in the settings: domain to next hop" },
		permit = { type = "boolean", default = true, doc = "permit the recipients that have a route" },
	},
	setup = function(on, o)
		local function look_up(domain)
			local hop = o.routes[domain] or (o.map and o.map:get(domain))
			if hop == true then error(('the map has no next hop for "%s"'):format(domain)) end
			return hop
		end

		local function next_hop(domain)
			local hop, rest = look_up(domain), domain
			while not hop do
				rest = rest:match("^[^.]*(%..+)$")
				if not rest then return nil end
				hop = look_up(rest)
				rest = rest:sub(2)
			end
			return hop
		end

		on("rcpt", {}, function(_, rcpt)
			local hop = next_hop(rcpt.domain)
			if not hop then return end
			rcpt:route(hop)
			if o.permit then rcpt:permit() end
		end)
	end,
}
