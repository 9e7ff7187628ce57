/*
 * The interface between Waystation and a transport adapter, version 1.
 *
 * Generated from adapters/sdk/src/abi.rs; do not edit. The documents that are passed (JSON) are described in
 * adapters/sdk/src/wire.rs and types.rs; adapters/sdk/CONFORMANCE.md lists what an adapter is tested for.
 *
 * TRUST. An adapter is native code in the host's process: it can do whatever the host can. The host guards against an
 * adapter's mistakes (a contained failure, a wrong answer, a call that does not return), not against its malice. Load
 * only what you would run, and pin its SHA-256.
 *
 * RULES
 *  1. A plugin exports one symbol, waystation_adapter_v1. What it answers is constant and valid until the process ends. A
 *     plugin is never unloaded.
 *  2. A host reads magic, major, minor and size first. It refuses another major version. It reads no member beyond size.
 *  3. Names say who owns what. Input (_owned_by_host) is readable during the call only and is never freed by the plugin.
 *     An answer (_owned_by_plugin) is allocated by the plugin, stays unchanged, and is freed by the plugin: the host calls
 *     free_buffer exactly once for each buffer whose ptr is not null, with the same ptr, len and capacity.
 *  4. Every answer is a JSON document in UTF-8, not ended by a NUL; its len says where it ends.
 *  5. Functions may be called on any thread, and on several at once. Two calls for the same task never overlap. A buffer
 *     may be freed on another thread than the one that got it.
 *  6. No function waits. What takes time (a request, a pause) is asked for in the answer, with the status PENDING; the
 *     host does it and calls resume with the results. A call that is not back within the host's deadline (2 s unless
 *     configured) counts as hung.
 *  7. A plugin opens no socket, starts no thread that outlives a call, and installs no signal handler.
 *  8. With PENDING, and only then, start leaves a task. It ends when resume answers DONE or PANICKED, or with free_task. A
 *     task's number is never 0 and is never used again. resume answers UNKNOWN_TASK for any other number, and free_task
 *     ignores it.
 *  9. Nothing unwinds or jumps out of a function. A failure inside is the status PANICKED.
 * 10. A message is accepted only if the network has it. When a plugin does not know whether the network has it, it
 *     answers the failure `ambiguous`; never a success, never a failure that is tried again.
 * 11. Null where a function would write, and input that is null and has a length, is BAD_INPUT. Nothing is done then, and
 *     nothing is written where there is no place for it. Input that is null and has no length is empty input.
 */

#ifndef WAYSTATION_ADAPTER_H
#define WAYSTATION_ADAPTER_H

#include <stddef.h>
#include <stdint.h>

/**
 * First member of every table: `WSAD` read as a little-endian integer.
 */
#define WAYSTATION_ADAPTER_MAGIC 1145131863

/**
 * A host refuses any other major version.
 */
#define WAYSTATION_ADAPTER_MAJOR 1

/**
 * Counts additions at the end of the table within a major version.
 */
#define WAYSTATION_ADAPTER_MINOR 0

/**
 * The longest `build_info`, its NUL included.
 */
#define WAYSTATION_BUILD_INFO_MAX_BYTES 512

/**
 * The answer of a function of the table.
 */
enum WaystationStatus
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * The call is over. `start` and `resume`: the answer has the outcome, and the task no longer exists.
   */
  WAYSTATION_STATUS_DONE = 0,
  /**
   * The task waits for the requests in the answer, and for earlier ones that have no result yet.
   */
  WAYSTATION_STATUS_PENDING = 1,
  /**
   * The input is not a document of the schema. Nothing was done; a task given to `resume` is as it was.
   */
  WAYSTATION_STATUS_BAD_INPUT = 2,
  /**
   * The input asks for an operation this adapter does not know. Nothing was done.
   */
  WAYSTATION_STATUS_UNSUPPORTED = 3,
  /**
   * No such task, or it is being resumed by another thread.
   */
  WAYSTATION_STATUS_UNKNOWN_TASK = 4,
  /**
   * The adapter failed inside; the failure was contained, and the task no longer exists.
   */
  WAYSTATION_STATUS_PANICKED = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum WaystationStatus WaystationStatus;
#else
typedef int32_t WaystationStatus;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Bytes that belong to the plugin.
 */
typedef struct {
  /**
   * The first byte; may be null when `len` is 0.
   */
  uint8_t *ptr;
  /**
   * How many bytes.
   */
  size_t len;
  /**
   * For the plugin's use; a host hands it back as it was.
   */
  size_t capacity;
} WaystationBuffer;

/**
 * The table a plugin exports. Static and constant: it is valid until the process ends.
 */
typedef struct {
  /**
   * `WAYSTATION_ADAPTER_MAGIC`.
   */
  uint32_t magic;
  /**
   * `WAYSTATION_ADAPTER_MAJOR`.
   */
  uint16_t major;
  /**
   * `WAYSTATION_ADAPTER_MINOR`.
   */
  uint16_t minor;
  /**
   * The size of this table in bytes, as the plugin was compiled. Members beyond it do not exist.
   */
  uint32_t size;
  /**
   * What was built, for people and for pins: UTF-8, NUL at the end, at most `WAYSTATION_BUILD_INFO_MAX_BYTES`.
   */
  const char *build_info;
  /**
   * Writes the adapter's description. Returns a status.
   */
  int32_t (*describe)(WaystationBuffer *answer_owned_by_plugin);
  /**
   * Starts an operation, runs it until it is over or waits, and writes the step. With `PENDING` it also writes the
   * new task, never 0, to `task`; otherwise it writes 0 there. Returns a status.
   */
  int32_t (*start)(const uint8_t *input_owned_by_host,
                   size_t input_len,
                   uint64_t *task,
                   WaystationBuffer *answer_owned_by_plugin);
  /**
   * Hands results to a task, runs it until it is over or waits again, and writes the step. Returns a status.
   */
  int32_t (*resume)(uint64_t task,
                    const uint8_t *input_owned_by_host,
                    size_t input_len,
                    WaystationBuffer *answer_owned_by_plugin);
  /**
   * Gives up a task. Unknown tasks are ignored.
   */
  void (*free_task)(uint64_t task);
  /**
   * Frees a buffer the plugin wrote.
   */
  void (*free_buffer)(WaystationBuffer owned_by_plugin);
} WaystationAdapterTable;

#ifdef __cplusplus
extern "C" {
#endif

/* The one symbol a plugin exports. */
const WaystationAdapterTable *waystation_adapter_v1(void);

#ifdef __cplusplus
}
#endif

#endif /* WAYSTATION_ADAPTER_H */
