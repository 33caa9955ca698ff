import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { CgroupsNotWritable, findCgroups, ProcessQuotas } from "../../bench/cores/cgroups";

const removeWithFiles = (path: string): void => rmSync(path, { recursive: true });

const roots: string[] = [];

/** Files of the kernel, below a folder that replaces the root. */
function systemWith(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), "cgroups-"));
  roots.push(root);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  return root;
}

const version1 = {
  "proc/self/mountinfo":
    "30 25 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n" +
    "31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n" +
    "32 25 0:28 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup rw\n",
  "proc/self/cgroup": "9:memory:/elsewhere\n2:cpu,cpuacct:/jobs\n0::/\n",
  "sys/fs/cgroup/unified/cgroup.controllers": "hugetlb\n",
  "sys/fs/cgroup/cpu,cpuacct/jobs/cgroup.procs": "",
};

const version2 = {
  "proc/self/mountinfo": "32 25 0:28 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n",
  "proc/self/cgroup": "0::/user.slice/session.scope\n",
  "sys/fs/cgroup/cgroup.controllers": "cpu memory\n",
  "sys/fs/cgroup/cgroup.procs": "1\n",
  "sys/fs/cgroup/cgroup.subtree_control": "memory\n",
  "sys/fs/cgroup/user.slice/cgroup.type": "domain\n",
  "sys/fs/cgroup/user.slice/cgroup.controllers": "memory\n",
  "sys/fs/cgroup/user.slice/cgroup.procs": "",
  "sys/fs/cgroup/user.slice/session.scope/cgroup.type": "domain\n",
  "sys/fs/cgroup/user.slice/session.scope/cgroup.controllers": "memory\n",
  "sys/fs/cgroup/user.slice/session.scope/cgroup.procs": "4711\n",
};

const top = `pg-migration-bench-${process.pid}`;

describe("cgroups of the benchmark", () => {
  afterEach(() => {
    for (const root of roots.splice(0)) removeWithFiles(root);
  });

  it("finds the CPU controller of version 1, in the group of this process", () => {
    const root = systemWith(version1);
    const jobs = join(root, "sys/fs/cgroup/cpu,cpuacct/jobs");
    assert.deepEqual(findCgroups(root), { version: 1, home: jobs, parent: jobs });
  });

  it("gives a process a quarter of each period in version 1, and returns it at the end", () => {
    const root = systemWith(version1);
    const place = findCgroups(root);
    const quotas = new ProcessQuotas(place, 0.25, removeWithFiles);
    quotas.limit(4711);
    const group = join(place.parent, top, "4711");
    const content = (file: string): string => readFileSync(join(group, file), "utf8");
    assert.equal(content("cpu.cfs_period_us"), "10000");
    assert.equal(content("cpu.cfs_quota_us"), "2500");
    assert.equal(content("cgroup.procs"), "4711");
    quotas.close();
    assert.equal(readFileSync(join(place.home, "cgroup.procs"), "utf8"), "4711");
    assert.deepEqual(
      readdirSync(place.parent).filter((name) => name.startsWith("pg-migration")),
      [],
    );
  });

  it("creates groups of version 2 where no processes are, with the CPU controller enabled on the way", () => {
    const root = systemWith(version2);
    const place = findCgroups(root);
    assert.deepEqual(place, {
      version: 2,
      home: join(root, "sys/fs/cgroup/user.slice/session.scope"),
      parent: join(root, "sys/fs/cgroup"),
    });
    const quotas = new ProcessQuotas(place, 0.5, removeWithFiles);
    quotas.limit(4711);
    const content = (...path: string[]): string => readFileSync(join(place.parent, ...path), "utf8");
    assert.equal(content("cgroup.subtree_control"), "+cpu");
    assert.equal(content(top, "cgroup.subtree_control"), "+cpu");
    assert.equal(content(top, "4711", "cpu.max"), "5000 10000");
    assert.equal(content(top, "4711", "cgroup.procs"), "4711");
    quotas.release(4711);
    assert.equal(existsSync(join(place.parent, top, "4711")), false);
    quotas.close();
    assert.equal(existsSync(join(place.parent, top)), false);
    assert.equal(readFileSync(join(place.home, "cgroup.procs"), "utf8"), "4711");
  });

  it("uses a group of version 2 that the user owns", () => {
    const owned = "sys/fs/cgroup/user.slice";
    const root = systemWith({ ...version2, [`${owned}/cgroup.controllers`]: "cpu memory\n" });
    assert.equal(findCgroups(root).parent, join(root, owned));
  });

  it("states why there are no groups", () => {
    const inContainer = { ...version2, "sys/fs/cgroup/cgroup.type": "domain\n" };
    assert.throws(() => findCgroups(systemWith(inContainer)), {
      constructor: CgroupsNotWritable,
      message: /contains processes or lacks the CPU controller: run the benchmark outside of the container, as root/,
    });
    const unmounted = { "proc/self/mountinfo": "25 1 0:5 / /proc rw - proc proc rw\n" };
    assert.throws(() => findCgroups(systemWith(unmounted)), CgroupsNotWritable);
  });

  it("states that a group is not writable", () => {
    const root = systemWith(version1);
    const place = findCgroups(root);
    // A file in its place, because root may write anywhere.
    writeFileSync(join(place.parent, top), "");
    assert.throws(() => new ProcessQuotas(place, 0.25), {
      constructor: CgroupsNotWritable,
      message: new RegExp(`${place.parent} is not writable .*: run the benchmark as root`),
    });
  });
});
