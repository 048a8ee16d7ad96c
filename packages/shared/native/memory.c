/*
 * What JavaScript cannot do with memory.
 *
 * Pages of a WebAssembly memory become pages of a file in memory, which other processes of this machine can map too. A linear memory is one
 * reserved range of addresses that never moves, so mapping over a part of it (MAP_FIXED) changes what lies there and nothing else.
 *
 * And bytes are copied at the machine's speed: from or to shared memory, JavaScript copies word by word, or byte by byte.
 *
 * Linux only. Every function but `copy` returns 0 or a handle, or the negative number of the system's error.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <node_api.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Nobody can shorten it under those who have mapped it: reading past its end would end their process. */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define MOST_ARGUMENTS 4

struct range {
  void *start;
  size_t bytes;
};

static napi_value number(napi_env env, int64_t value) {
  napi_value result;
  napi_create_int64(env, value, &result);
  return result;
}

static int64_t argument(napi_env env, napi_value value) {
  int64_t result = -1;
  napi_get_value_int64(env, value, &result);
  return result;
}

/* What a function was called with. */
static void arguments_of(napi_env env, napi_callback_info info, napi_value given[MOST_ARGUMENTS]) {
  size_t count = MOST_ARGUMENTS;
  napi_get_cb_info(env, info, &count, given, NULL, NULL);
}

/* Where the bytes of a Uint8Array over a WebAssembly memory lie; start is NULL for anything else. */
static struct range range_of(napi_env env, napi_value value) {
  struct range range = {NULL, 0};
  napi_typedarray_type type;
  if (napi_get_typedarray_info(env, value, &type, &range.bytes, &range.start, NULL, NULL) != napi_ok || type != napi_uint8_array)
    range.start = NULL;
  return range;
}

static int is_whole_pages(struct range range) {
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  return range.start != NULL && range.bytes > 0 && (uintptr_t)range.start % page == 0 && range.bytes % page == 0;
}

/* create(bytes): a file in memory of that size, all of it there already, that keeps its size. Returns its handle. */
static napi_value create(napi_env env, napi_callback_info info) {
  napi_value given[MOST_ARGUMENTS];
  arguments_of(env, info, given);
  const int64_t bytes = argument(env, given[0]);
  const int handle = memfd_create("lockstep", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (handle < 0) return number(env, -errno);
  if (ftruncate(handle, bytes) != 0 || fallocate(handle, 0, 0, bytes) != 0 || fcntl(handle, F_ADD_SEALS, SEALS) != 0) {
    const int error = errno;
    close(handle);
    return number(env, -error);
  }
  return number(env, handle);
}

/* close(handle). */
static napi_value close_handle(napi_env env, napi_callback_info info) {
  napi_value given[MOST_ARGUMENTS];
  arguments_of(env, info, given);
  return number(env, close((int)argument(env, given[0])) == 0 ? 0 : -errno);
}

/* map(view, handle, offset, writable): the pages of the view become those of the file from offset. What was there is gone. */
static napi_value map(napi_env env, napi_callback_info info) {
  napi_value given[MOST_ARGUMENTS];
  arguments_of(env, info, given);
  const struct range range = range_of(env, given[0]);
  const int handle = (int)argument(env, given[1]);
  const int64_t offset = argument(env, given[2]);
  bool writable = false;
  napi_get_value_bool(env, given[3], &writable);
  struct stat file;
  if (!is_whole_pages(range) || offset < 0) return number(env, -EINVAL);
  if (fstat(handle, &file) != 0) return number(env, -errno);
  const int seals = fcntl(handle, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || offset + (int64_t)range.bytes > (int64_t)file.st_size) return number(env, -EPERM);
  const int access = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  const void *at = mmap(range.start, range.bytes, access, MAP_SHARED | MAP_FIXED, handle, (off_t)offset);
  return number(env, at == MAP_FAILED ? -errno : 0);
}

/* unmap(view): its pages are the memory's own again, all zero. */
static napi_value unmap(napi_env env, napi_callback_info info) {
  napi_value given[MOST_ARGUMENTS];
  arguments_of(env, info, given);
  const struct range range = range_of(env, given[0]);
  if (!is_whole_pages(range)) return number(env, -EINVAL);
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
  const void *at = mmap(range.start, range.bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
  return number(env, at == MAP_FAILED ? -errno : 0);
}

/* copy(target, source): as many bytes as the source has, if the target has as many; returns how many. */
static napi_value copy(napi_env env, napi_callback_info info) {
  napi_value given[MOST_ARGUMENTS];
  arguments_of(env, info, given);
  const struct range target = range_of(env, given[0]);
  const struct range source = range_of(env, given[1]);
  if (target.start == NULL || source.start == NULL || target.bytes < source.bytes) return number(env, -EINVAL);
  memmove(target.start, source.start, source.bytes);
  return number(env, (int64_t)source.bytes);
}

NAPI_MODULE_INIT() {
  const napi_property_descriptor functions[] = {
      {"create", NULL, create, NULL, NULL, NULL, napi_default, NULL},
      {"close", NULL, close_handle, NULL, NULL, NULL, napi_default, NULL},
      {"map", NULL, map, NULL, NULL, NULL, napi_default, NULL},
      {"copy", NULL, copy, NULL, NULL, NULL, napi_default, NULL},
      {"unmap", NULL, unmap, NULL, NULL, NULL, napi_default, NULL},
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
  return exports;
}
