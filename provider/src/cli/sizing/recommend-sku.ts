import { computeSizes, storageSizes, type ComputeSize, type StorageSize } from "./azure-sizes.js";

/** What is known about the source. */
export interface SourceSize {
  /** Size of the databases on disk. */
  readonly databaseBytes: number;
  readonly sharedBuffersBytes: number;
  /** The share of the source's memory that shared_buffers has; a quarter if its platform has no other default. */
  readonly sharedBuffersShare?: number | undefined;
  readonly maxConnections: number;
  /** Blocks that the server read from its disk or cache, on average; undefined without statistics. */
  readonly readsPerSecond: number | undefined;
  /** From the user, because SQL cannot read it. */
  readonly vCores: number | undefined;
}

/** A flexible server for the source, and why. */
export interface SkuAdvice {
  readonly sku: string;
  readonly tier: ComputeSize["tier"];
  readonly vCores: number;
  readonly memoryGib: number;
  readonly storageGib: number;
  /** Performance tier of the storage. It can be higher than the tier of the size. */
  readonly iopsTier: string;
  /** The lower one of the limits of storage and compute. */
  readonly iops: number;
  readonly reasons: readonly string[];
}

const gib = 1024 ** 3;

/** The usual share of shared_buffers in the memory, also on Azure. */
const defaultBuffersShare = 0.25;

/** No size has more connections. */
const maxConnectionsOfAzure = Math.max(...computeSizes.map(({ userConnections }) => userConnections));

/** Disks up to this size cannot have the performance tiers of larger ones. */
const smallDiskGib = 4096;

/** The copy needs space for WAL and sorts beside the databases. */
const storageFactor = 1.25;

/**
 * Recommends the smallest flexible server that has at least the source's memory, connections (up to Azure's limit), storage and
 * vCores. Undefined if no size of Premium SSD or of the v5 series is large enough.
 *
 * @example
 * ```ts
 * recommendSku({ databaseBytes: 200 * 1024 ** 3, sharedBuffersBytes: 4 * 1024 ** 3, maxConnections: 100,
 *   readsPerSecond: undefined, vCores: undefined })?.sku; // "Standard_D4ds_v5", with 256 GiB
 * ```
 */
export function recommendSku(source: SourceSize): SkuAdvice | undefined {
  const compute = computeFor(source);
  const storage = storageSizes.find((size) => size.gib * gib >= storageFactor * source.databaseBytes);
  if (!compute || !storage) return undefined;
  const performance = performanceFor(source, storage);
  const { sku, tier, vCores, memoryGib } = compute;
  return {
    ...{ sku, tier, vCores, memoryGib, storageGib: storage.gib, iopsTier: performance.tier },
    iops: Math.min(performance.iops, compute.maxIops),
    reasons: reasonsOf(source, performance),
  };
}

/** Without the source's vCores, memory per vCore is unknown, and General Purpose comes first. */
function computeFor(source: SourceSize): ComputeSize | undefined {
  const { sharedBuffersBytes, sharedBuffersShare = defaultBuffersShare, maxConnections, vCores } = source;
  const fitting = computeSizes.filter(
    (size) =>
      size.memoryGib * gib * sharedBuffersShare >= sharedBuffersBytes &&
      size.userConnections >= Math.min(maxConnections, maxConnectionsOfAzure) &&
      size.vCores >= (vCores ?? 0),
  );
  return vCores === undefined ? fitting[0] : fitting.sort((one, other) => one.vCores - other.vCores)[0];
}

/** Azure lets a disk have the performance of a larger one: the smallest tier that is enough, or the highest one. */
function performanceFor({ readsPerSecond = 0 }: SourceSize, storage: StorageSize): StorageSize {
  const isSmall = storage.gib <= smallDiskGib;
  const permitted = storageSizes.filter(({ gib: size }) => size >= storage.gib && (!isSmall || size <= smallDiskGib));
  return permitted.find(({ iops }) => iops >= readsPerSecond) ?? permitted.at(-1)!;
}

function reasonsOf(source: SourceSize, performance: StorageSize): string[] {
  const { sharedBuffersShare = defaultBuffersShare, readsPerSecond, vCores, maxConnections } = source;
  return [
    `memory: at least ${(1 / sharedBuffersShare).toFixed(2).replace(/\.?0+$/, "")} x shared_buffers of the source, which has ${100 * sharedBuffersShare} % of the memory by default`,
    vCores === undefined
      ? "vCores: those of the smallest size with this memory; pass --vcores with the source's number, which SQL cannot read"
      : `vCores: at least ${vCores}, as on the source`,
    maxConnections > maxConnectionsOfAzure
      ? `connections: ${maxConnectionsOfAzure}, the most that Azure offers; max_connections of the source is ${maxConnections}, so use a pooler such as Azure's PgBouncer`
      : `connections: the size's default is at least max_connections of the source (${maxConnections})`,
    `storage: at least ${storageFactor} x the size of the databases`,
    iopsReason(readsPerSecond, performance),
  ];
}

function iopsReason(readsPerSecond: number | undefined, { tier, iops }: StorageSize): string {
  if (readsPerSecond === undefined) return "IOPS: those of the storage's size; the source has no statistics of reads";
  const average = `${Math.ceil(readsPerSecond)} reads per second, the source's average`;
  return iops < readsPerSecond
    ? `IOPS: ${iops} of ${tier}, the highest tier of this storage, are less than ${average}; storage above ${smallDiskGib} GiB has higher tiers`
    : `IOPS: at least ${average}; peaks are higher`;
}
