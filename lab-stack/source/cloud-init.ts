/** The major version of PostgreSQL in the image. */
export const sourceVersion = 16;

const directory = `/etc/postgresql/${sourceVersion}/main`;

/**
 * The cloud-init document of a source server: installs PostgreSQL, prepares it for online migrations, and sets the
 * password of the role `postgres`.
 *
 * @param clients address ranges that may connect
 */
export function cloudInit(password: string, clients: readonly string[]): string {
  const lines = (...all: readonly string[]): string => all.map((line) => `${line}\n`).join("");
  const file = (path: string, content: string) => ({ path, content, permissions: "0600", defer: true });
  const document = {
    package_update: true,
    packages: ["postgresql"],
    // Deferred until the package is installed.
    write_files: [
      {
        ...file(
          `${directory}/conf.d/lab.conf`,
          lines("listen_addresses = '*'", "wal_level = logical", "max_replication_slots = 20", "max_wal_senders = 20"),
        ),
        owner: "postgres:postgres",
      },
      file("/root/pg_hba.lines", lines(...clients.map((range) => `host all postgres ${range} scram-sha-256`))),
      file("/root/password.sql", lines(`ALTER ROLE postgres PASSWORD '${password.replaceAll("'", "''")}';`)),
    ],
    runcmd: [
      `cat /root/pg_hba.lines >> ${directory}/pg_hba.conf`,
      "systemctl restart postgresql",
      "runuser -u postgres -- psql --set ON_ERROR_STOP=1 < /root/password.sql",
      "rm /root/password.sql",
    ],
  };
  // JSON is YAML, and needs no rules for quoting.
  return `#cloud-config\n${JSON.stringify(document)}\n`;
}
