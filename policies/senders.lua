-- senders: who may write to us, by the address in MAIL.
--
-- Looks the sender up in two maps, as "user@domain", then as "@domain". `allow` comes first: who is in it is trusted (handlers
-- with skip_trusted, as filters are, no longer run; it permits no relaying). Then `deny`: what the map says there:
--     (nothing), reject [text]   550 5.7.1, with that text
--     defer [text]               451 4.7.1, with that text
-- The null sender <> is looked up as "<>".
--
-- Options: allow, deny (at least one), text
-- Example: gate.use("senders", { allow = "partners", deny = "nuisances" })
local gate = require "moongate"

local function find(map, tx)
	local sender = tx.sender
	if sender == "" then return map:get("<>") end
	local found = map:get(sender)
	if found == nil then found = map:get("@" .. tx.sender_domain) end
	return found
end

return {
	options = {
		allow = { type = "map", doc = "map of senders that are trusted" },
		deny = { type = "map", doc = "map of senders that are refused" },
		text = { type = "string", default = "this sender is not welcome here", doc = "what a refused one is answered" },
	},
	setup = function(on, o)
		if not o.allow and not o.deny then error("give it a map, allow or deny", 0) end
		on("mail", {}, function(tx)
			if o.allow and find(o.allow, tx) ~= nil then return gate.trust { reason = "allowed sender" } end
			local found = o.deny and find(o.deny, tx)
			if not found then return end
			local word, text = (found == true and "reject" or found):match("^(%S+)%s*(.*)$")
			if text == "" then text = o.text end
			word = word:lower()
			if word == "reject" then return gate.reject(550, "5.7.1", text) end
			if word == "defer" then return gate.defer(451, "4.7.1", text) end
			error(('the map says "%s" for %s'):format(found, tx.sender))
		end)
	end,
}
