-- Sends the lines of a file as JSON bodies, in turn, and reports in one line of JSON.
--   wrk … -s wrk.lua http://127.0.0.1:PORT/invocations -- BODIES

local requests = {}
local turn = 0

function init(args)
   wrk.method = "POST"
   wrk.headers["Content-Type"] = "application/json"
   for body in io.lines(args[1]) do
      requests[#requests + 1] = wrk.format(nil, nil, nil, body)
   end
end

function request()
   turn = turn % #requests + 1
   return requests[turn]
end

function done(summary, latency, _)
   local failed = summary.errors
   local parts = {}
   for _, percentile in ipairs({50, 75, 90, 95, 99}) do
      parts[#parts + 1] = string.format('"%d": %.3f', percentile, latency:percentile(percentile) / 1e3)
   end
   io.write(string.format(
      '\n{"requests": %d, "seconds": %.6f, "failures": %d, "percentiles_ms": {%s}}\n',
      summary.requests, summary.duration / 1e6,
      failed.connect + failed.read + failed.write + failed.status + failed.timeout,
      table.concat(parts, ", ")))
end
