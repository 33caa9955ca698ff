import { InvalidInputError } from "../../errors.js";

/** Settings of libpq that demand more of a server than this package checks, and their variables. Undefined: any value does. */
const demands: readonly { readonly keyword: string; readonly variable: string; readonly demanding?: RegExp }[] = [
  { keyword: "channel_binding", variable: "PGCHANNELBINDING", demanding: /^require$/ },
  { keyword: "gssencmode", variable: "PGGSSENCMODE", demanding: /^require$/ },
  { keyword: "require_auth", variable: "PGREQUIREAUTH" },
  { keyword: "sslcrl", variable: "PGSSLCRL" },
  { keyword: "sslcrldir", variable: "PGSSLCRLDIR" },
  { keyword: "ssl_min_protocol_version", variable: "PGSSLMINPROTOCOLVERSION", demanding: /^TLSv1\.3$/i },
];

/**
 * Refuses a service, or an environment, that demands what this package cannot check. psql would refuse a server that does not
 * comply, so ignoring the demand would weaken the connection.
 *
 * @param service settings of pg_service.conf
 * @throws InvalidInputError
 */
export function refuseDemands(
  service: Readonly<Record<string, string>> = {},
  environment: Readonly<Record<string, string | undefined>> = {},
): void {
  const failures = demands.flatMap(({ keyword, variable, demanding = /./ }) =>
    [
      { property: `${keyword} of the service`, value: service[keyword] },
      { property: variable, value: environment[variable] },
    ].filter(({ value }) => value !== undefined && demanding.test(value)),
  );
  if (failures.length === 0) return;
  const reason = "this package cannot enforce it; remove it to connect without it";
  throw new InvalidInputError(failures.map(({ property }) => ({ property, reason })));
}
