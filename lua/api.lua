-- The public API in one description: what a policy gets from require "moongate", and what its handlers are called with.
--
-- Pure data. The reference, the stubs for editors and the standard of the linter are made from it, and a unit test
-- (tests/unit/test_script_api.c) holds it against the tables in C, both ways.
--
-- A type is written as in LuaLS: string, integer, number, boolean, table, T[], T?, "a|b". `duration` is "5m", "1h30m", "500ms" or
-- a number of seconds. `waits`: the function may suspend the handler. Arguments in order: { name, type, doc }; a "?" at the end
-- of the type: may be left out.

local header_methods = {
	{
		name = "add_header",
		args = { { "name", "string" }, { "value", "string", "one line; folded when it is written" } },
		doc = "Adds a field at the end of the header.",
		example = 'tx:add_header("X-Checked", "yes")',
	},
	{
		name = "prepend_header",
		args = { { "name", "string" }, { "value", "string" } },
		doc = "Adds a field at the top of the header.",
	},
	{
		name = "set_header",
		args = { { "name", "string" }, { "value", "string" } },
		doc = "The first field of that name gets the value, the others go; where there is none it is added.",
	},
	{
		name = "remove_header",
		args = { { "name", "string" }, { "nth", "integer?", "which one, from 1 at the top; left out: all" } },
		doc = "Removes fields of that name.",
	},
}

local function with_header_methods(methods)
	for _, method in ipairs(header_methods) do methods[#methods + 1] = method end
	return methods
end

local reply = {
	{ "code", "integer?" },
	{ "status", "string?", 'an enhanced status like "5.1.1"' },
	{ "text", "string?", "printable ASCII; other bytes become ?" },
}

local reason = { { "options", "{ reason: string? }?" } }

return {
	hooks = {
		{
			name = "connect", args = { "conn" }, role = "edge",
			verdicts = { "pass", "accept", "trust", "defer", "reject", "drop", "abort" },
			doc = "A client has connected; nothing was said yet.",
		},
		{
			name = "tls", args = { "conn" }, role = "edge",
			verdicts = { "pass", "accept", "trust", "defer", "reject", "drop", "abort" },
			doc = "The handshake is over: conn.tls says what was agreed. What was said before STARTTLS is forgotten.",
		},
		{
			name = "ehlo", args = { "conn" }, role = "edge",
			verdicts = { "pass", "accept", "trust", "defer", "reject", "drop", "abort" },
			doc = "HELO or EHLO; conn.helo is what the client calls itself.",
		},
		{
			name = "mail", args = { "tx" }, role = "edge",
			verdicts = { "pass", "accept", "trust", "defer", "reject", "drop" },
			doc = "MAIL FROM: a transaction begins.",
		},
		{
			name = "rcpt", args = { "tx", "rcpt" }, role = "edge",
			verdicts = { "pass", "accept", "trust", "defer", "reject", "drop", "discard" },
			doc = "RCPT TO. A recipient is taken only if some handler accepts or permits it.",
		},
		{
			name = "data", args = { "tx" }, role = "edge",
			verdicts = { "pass", "accept", "trust", "defer", "reject", "drop" },
			doc = "DATA, before 354.",
		},
		{
			name = "headers", args = { "tx", "msg" }, role = "edge",
			verdicts = { "pass", "accept", "defer", "reject", "drop", "quarantine", "hold", "discard" },
			doc = "The header is complete, the body is not. A refusal is sent after the end of data.",
		},
		{
			name = "message", args = { "tx", "msg" }, role = "edge",
			verdicts = { "pass", "accept", "defer", "reject", "drop", "quarantine", "hold", "discard" },
			doc = "The message is complete.",
		},
		{
			name = "message_rcpt", args = { "tx", "rcpt", "msg" }, role = "edge",
			verdicts = { "pass", "accept", "defer", "reject", "quarantine", "hold", "discard" },
			doc = "Once per recipient after message: what becomes of this copy.",
		},
		{
			name = "disconnect", args = { "conn" }, role = "edge", verdicts = { "pass" },
			doc = "Exactly once per connection, whatever ended it.",
		},
		{
			name = "route", args = { "tx", "rcpt" }, role = "deliver",
			verdicts = { "pass", "defer", "reject", "hold", "discard" },
			doc = "Where this recipient's copy goes: rcpt:route().",
		},
		{
			name = "result", args = { "tx", "attempt", "result" }, role = "deliver",
			verdicts = { "pass", "defer", "reject" },
			doc = "An attempt did not deliver: turn temporary into permanent and back, choose when it is tried again.",
		},
		{
			name = "bounce", args = { "tx", "bounce" }, role = "deliver",
			verdicts = { "pass", "quarantine", "discard" },
			doc = "A delivery status notification is about to be sent.",
		},
	},

	handler_options = {
		{ name = "name", type = "string", doc = "in every event and count; default: file and line" },
		{ name = "priority", type = "integer", default = 500, doc = "0..1000, ascending; ready filters 300, catch-alls 900" },
		{ name = "timeout", type = "duration", default = "10s", doc = "how long it may wait in all; 60s at message" },
		{ name = "on_error", type = '"defer"|"pass"|"reject"', default = "defer", doc = "what a failing handler means" },
		{ name = "mode", type = '"enforce"|"monitor"', default = "enforce", doc = "monitor: verdict and edits are logged only" },
		{ name = "listener", type = "string|string[]", doc = "runs for connections of these listeners only" },
		{ name = "skip_trusted", type = "boolean", default = false, doc = "not for trusted connections and transactions" },
	},

	functions = {
		{
			name = "on",
			args = { { "hook", "string" }, { "options", "table?" }, { "handler", "function" } },
			doc = "Registers a handler; at the top level of a file only.",
			example = 'gate.on("rcpt", { name = "ours" }, function(tx, rcpt) rcpt:permit() end)',
		},
		{
			name = "use",
			args = { { "name", "string" }, { "options", "table?" } },
			doc = "Uses a ready policy, or a file of your own that returns { options =, setup = }.",
			example = 'gate.use("recipients", { map = "recipients" })',
		},
		{
			name = "map",
			args = { { "name", "string", "as in the settings" } },
			returns = { { "map", "map" } },
			doc = "A map that the settings declare.",
			example = 'local known = gate.map("recipients")',
		},
		{
			name = "log",
			args = {
				{ "level", '"debug"|"info"|"warn"|"error"?' },
				{ "text", "string" },
				{ "fields", "table?", "at most 16 names with strings, numbers, booleans" },
			},
			doc = "Writes one event, policy.log; at most 32 a run of a handler.",
			example = 'gate.log("warn", "odd sender", { sender = tx.sender })',
		},
		{
			name = "sleep", waits = true,
			args = { { "time", "duration" } },
			doc = "Waits; everything else goes on.",
			example = "gate.sleep(2)",
		},
		{
			name = "now",
			args = {},
			returns = { { "seconds", "number" } },
			doc = "Seconds since 1970, the same within a turn of the loop.",
		},
		{
			name = "seconds",
			args = { { "time", "duration" } },
			returns = { { "seconds", "number" } },
			doc = 'Reads a duration: gate.seconds("5m") is 300.',
		},
	},

	verdicts = {
		{ name = "pass", args = {}, doc = "No opinion, as returning nothing." },
		{ name = "accept", args = {}, doc = "This stage is decided; at rcpt it also permits the recipient." },
		{ name = "trust", args = reason, doc = "Marks as trusted; the chain goes on without handlers that skip_trusted." },
		{ name = "defer", args = reply, doc = "4xx: the client tries again. Default 451 4.7.1." },
		{
			name = "reject", args = reply, doc = "5xx. Default 550 5.7.1.",
			example = 'return gate.reject(550, "5.1.1", "no such recipient")',
		},
		{ name = "drop", args = reply, doc = "A reply, 4xx or 5xx, then the connection is closed." },
		{ name = "abort", args = {}, doc = "Closes the connection without a word." },
		{
			name = "quarantine",
			args = { { "options", "{ bucket: string?, ttl: duration?, reason: string? }?" } },
			doc = "250, stored, listed, can be released.",
		},
		{ name = "hold", args = reason, doc = "250, queued, not scheduled." },
		{ name = "discard", args = reason, doc = "250, not stored, always logged." },
	},

	classes = {
		conn = {
			doc = "A connection, from connect to disconnect.",
			fields = {
				{ "id", "string" },
				{ "listener", "string", "its name in the settings" },
				{ "peer", "peer", "the client's end" },
				{ "server", "server", "our end" },
				{ "helo", "string?", "as the client said it" },
				{ "is_esmtp", "boolean" },
				{ "tls", "tls?", "nil in plain text" },
				{ "is_local", "boolean", "loopback or a Unix socket" },
				{ "is_trusted", "boolean" },
				{ "trust_reason", "string?" },
				{ "messages", "integer", "taken so far" },
				{ "errors", "integer", "commands answered 5xx so far" },
				{ "started", "number", "seconds since 1970" },
				{ "vars", "vars" },
			},
			methods = {},
		},
		peer = {
			doc = "The client's end of a connection.",
			fields = { { "ip", "string" }, { "port", "integer" } },
			methods = {},
		},
		tls = {
			doc = "What the handshake agreed on.",
			fields = {
				{ "version", "string", '"TLSv1.3"' },
				{ "cipher", "string", '"TLS_AES_128_GCM_SHA256"' },
				{ "name", "string?", "the host name that the client asked for (SNI)" },
				{ "is_resumed", "boolean", "by a ticket" },
				{ "certificate", "certificate?", "the client's, where the listener asks for one" },
			},
			methods = {},
		},
		certificate = {
			doc = "A client's certificate. Its subject means something only if it is verified.",
			fields = {
				{ "subject", "string", '"CN=client.example,O=Example"' },
				{ "fingerprint", "string", "SHA-256, hex" },
				{ "is_verified", "boolean", "by one of tls.authorities" },
				{ "problem", "string?", "why it is not" },
			},
			methods = {},
		},
		server = {
			doc = "Our end of a connection.",
			fields = { { "ip", "string" }, { "port", "integer" } },
			methods = {},
		},
		tx = {
			doc = "A transaction: one message on its way. Reads show the envelope as edited so far.",
			fields = {
				{ "id", "string", "of the message, everywhere" },
				{ "conn", "conn?", "nil in delivery hooks" },
				{ "helo", "string?" },
				{ "peer_ip", "string?" },
				{ "listener", "string?" },
				{ "sender", "string", "local@domain; empty: the null sender" },
				{ "sender_localpart", "string" },
				{ "sender_domain", "string" },
				{ "sender_original", "string", "as the client gave it" },
				{ "size", "integer", "declared, then real; 0: not known" },
				{ "is_8bit", "boolean" },
				{ "is_trusted", "boolean", "the transaction or its connection" },
				{ "trust_reason", "string?" },
				{ "created", "number", "seconds since 1970" },
				{ "rcpts", "rcpt[]", "a list of its own; changing it changes nothing" },
				{ "vars", "vars" },
			},
			methods = with_header_methods {
				{ name = "set_sender", args = { { "address", "string", "empty: the null sender" } }, doc = "Changes the sender." },
				{ name = "add_rcpt", args = { { "address", "string" } }, doc = "Adds a recipient, permitted." },
				{
					name = "remove_rcpt",
					args = { { "which", "string|rcpt" } },
					returns = { { "found", "boolean" } },
					doc = "Removes a recipient.",
				},
				{
					name = "schedule",
					args = { { "options", "table" } },
					doc = "In route and result: how this message is tried again, { first = \"1m\", longest = \"1h\", expire = \"1d\" }.",
				},
			},
		},
		rcpt = {
			doc = "One recipient of a transaction.",
			fields = {
				{ "address", "string", "local@domain" },
				{ "localpart", "string", "without quotes" },
				{ "domain", "string", "in lower case" },
				{ "original", "string?", "as the client gave it; nil: a policy added it" },
				{ "is_permitted", "boolean" },
				{ "next_hop", "string?", "what a policy chose" },
				{ "attempts", "integer", "made so far, in delivery hooks" },
				{ "tx", "tx" },
				{ "vars", "vars" },
			},
			methods = with_header_methods {
				{ name = "permit", args = {}, doc = "Permits the recipient; the chain goes on." },
				{ name = "remove", args = {}, doc = "Removes it from the envelope; not while it is being asked about." },
				{ name = "set_address", args = { { "address", "string" } }, doc = "Delivers to another address." },
				{
					name = "route",
					args = { { "next_hop", "string", '"smtp:192.0.2.1:25", "lmtp:unix:/path", "maildir:/path"' } },
					doc = "Chooses the next hop.",
				},
			},
		},
		msg = {
			doc = "The message: its original header, and what of the body is in memory.",
			fields = {
				{ "size", "integer" },
				{ "hops", "integer", "Received fields" },
				{ "is_complete", "boolean" },
				{ "header_size", "integer" },
				{ "tx", "tx" },
			},
			methods = {
				{
					name = "header",
					args = { { "name", "string" }, { "nth", "integer?" } },
					returns = { { "value", "string?", "on one line" } },
					doc = "One value of that name, the first if not said otherwise.",
					example = 'local subject = msg:header("subject") or ""',
				},
				{
					name = "headers",
					args = { { "name", "string" } },
					returns = { { "values", "string[]" } },
					doc = "All values of that name.",
				},
				{
					name = "fields",
					args = {},
					returns = { { "next", "function" } },
					doc = "For a loop over all fields: for name, value in msg:fields() do ... end",
				},
				{
					name = "slice",
					args = { { "offset", "integer", "from 0" }, { "length", "integer?", "at most 65536" } },
					returns = { { "bytes", "string" } },
					doc = "Bytes of the body, as far as they are in memory.",
				},
			},
		},
		attempt = {
			doc = "A delivery attempt.",
			fields = {
				{ "destination", "string", "the key of its queue" },
				{ "next_hop", "string" },
				{ "peer", "string?", "the address that answered" },
				{ "number", "integer", "1 is the first" },
			},
			methods = {},
		},
		result = {
			doc = "What an attempt came to for one recipient.",
			fields = {
				{ "rcpt", "rcpt" },
				{ "outcome", '"delivered"|"deferred"|"failed"' },
				{ "code", "integer?", "nil: no reply came" },
				{ "status", "string?" },
				{ "text", "string" },
				{ "age", "number", "of the message, in seconds" },
			},
			methods = {
				{ name = "retry_in", args = { { "time", "duration" } }, doc = "When the next attempt is made." },
			},
		},
		bounce = {
			doc = "A notification to the sender.",
			fields = { { "to", "string" }, { "failures", "result[]" } },
			methods = {},
		},
		map = {
			doc = "A file of keys and values that all processes share. Keys have no case.",
			fields = {},
			methods = {
				{
					name = "get",
					args = { { "key", "string" } },
					returns = { { "value", "string|true|nil", "true: the entry has no value" } },
					doc = "Looks a key up.",
				},
				{
					name = "has",
					args = { { "key", "string" } },
					returns = { { "there", "boolean" } },
					doc = "Is it there?",
				},
			},
		},
		vars = {
			doc = "Strings, integers, numbers, booleans and lists of strings by name: at most 64, 16 KiB in all. They cross reloads; those of tx and rcpt are stored with the message.",
			fields = {},
			methods = {},
		},
		verdict = {
			doc = "What a handler returns. Cannot be changed.",
			fields = {
				{ "kind", "string" },
				{ "code", "integer?" },
				{ "status", "string?" },
				{ "text", "string?" },
				{ "reason", "string?" },
				{ "bucket", "string?" },
			},
			methods = {},
		},
	},
}
