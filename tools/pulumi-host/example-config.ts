interface Login {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
}

/** The servers of a migration, in the configuration that the programs in `examples/` read. */
export const exampleConfig = (
  source: Login,
  target: Login,
): Record<"config" | "secretConfig", Readonly<Record<string, string>>> => ({
  config: {
    ...{ sourceHost: source.host, sourcePort: String(source.port), sourceUser: source.user },
    ...{ targetHost: target.host, targetPort: String(target.port), targetUser: target.user },
  },
  secretConfig: { sourcePassword: source.password, targetPassword: target.password },
});
