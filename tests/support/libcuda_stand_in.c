/* A driver library without a device: host memory stands for the device's, and every stream is done at once.

   The real cuda-python loads it in place of libcuda.so.1, so that each call's name, arguments and results are tried against
   the binding itself. LIBCUDA_FAIL="cuMemAlloc_v2:2" makes that function return 2. LIBCUDA_LOG names a file that gets one
   line for each call. Signatures: cuda.h of CUDA 12 and 13. */

#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <dlfcn.h>

typedef unsigned long long device_ptr;

static int capturing = 0;
static long handles = 0x100;

static int begin(const char *name) {
  const char *log = getenv("LIBCUDA_LOG"), *fail = getenv("LIBCUDA_FAIL");
  if (log) {
    FILE *file = fopen(log, "a");
    if (file) { fprintf(file, "%s\n", name); fclose(file); }
  }
  size_t length = strlen(name);
  if (fail && strncmp(fail, name, length) == 0 && fail[length] == ':') return atoi(fail + length + 1);
  return 0;
}

#define CALL int status = begin(__func__); if (status) return status
#define MAKE(pointer) CALL; *(pointer) = (void *)(handles++); return 0
#define NOTHING CALL; return 0

int cuInit(unsigned flags) { (void)flags; NOTHING; }
int cuDriverGetVersion(int *version) { CALL; *version = 13000; return 0; }
int cuDeviceGet(int *device, int ordinal) { CALL; *device = ordinal; return 0; }
int cuDeviceGetName(char *name, int length, int device) { (void)device; CALL; strncpy(name, "Driver without a GPU", length); return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  (void)device; CALL;
  *value = attribute == 75 ? 8 : attribute == 76 ? 6 : 0; /* compute capability, major and minor */
  return 0;
}
int cuDevicePrimaryCtxRetain(void **context, int device) { (void)device; MAKE(context); }
int cuDevicePrimaryCtxRelease_v2(int device) { (void)device; NOTHING; }
int cuCtxSetCurrent(void *context) { (void)context; NOTHING; }
int cuCtxSynchronize(void) { NOTHING; }
int cuMemGetInfo_v2(size_t *free_bytes, size_t *total) { CALL; *free_bytes = 1 << 30; *total = 2u << 30; return 0; }
int cuMemAlloc_v2(device_ptr *address, size_t nbytes) { CALL; *address = (device_ptr)(uintptr_t)malloc(nbytes); return 0; }
int cuMemFree_v2(device_ptr address) { CALL; free((void *)(uintptr_t)address); return 0; }
int cuMemHostAlloc(void **address, size_t nbytes, unsigned flags) { (void)flags; CALL; *address = malloc(nbytes); return 0; }
int cuMemFreeHost(void *address) { CALL; free(address); return 0; }
int cuMemcpyHtoDAsync_v2(device_ptr to, const void *from, size_t nbytes, void *stream) {
  (void)stream; CALL; memcpy((void *)(uintptr_t)to, from, nbytes); return 0;
}
int cuMemcpyDtoHAsync_v2(void *to, device_ptr from, size_t nbytes, void *stream) {
  (void)stream; CALL; memcpy(to, (void *)(uintptr_t)from, nbytes); return 0;
}
int cuStreamCreate(void **stream, unsigned flags) { (void)flags; MAKE(stream); }
int cuStreamDestroy_v2(void *stream) { (void)stream; NOTHING; }
int cuStreamWaitEvent(void *stream, void *event, unsigned flags) { (void)stream; (void)event; (void)flags; NOTHING; }
int cuEventCreate(void **event, unsigned flags) { CALL; if (flags != 3) return 1; *event = (void *)(handles++); return 0; }
int cuEventDestroy_v2(void *event) { (void)event; NOTHING; }
int cuEventRecord(void *event, void *stream) { (void)event; (void)stream; NOTHING; }
int cuEventSynchronize(void *event) { (void)event; NOTHING; }
int cuStreamBeginCapture_v2(void *stream, int mode) { (void)stream; (void)mode; CALL; capturing = 1; return 0; }
int cuStreamEndCapture(void *stream, void **graph) { (void)stream; CALL; if (!capturing) return 900; capturing = 0; *graph = (void *)(handles++); return 0; }
int cuGraphInstantiateWithFlags(void **ready, void *graph, unsigned long long flags) { (void)graph; (void)flags; MAKE(ready); }
int cuGraphDestroy(void *graph) { (void)graph; NOTHING; }
int cuGraphLaunch(void *ready, void *stream) { (void)ready; (void)stream; NOTHING; }
int cuGraphExecDestroy(void *ready) { (void)ready; NOTHING; }

/* The binding asks here for every function, by its plain name; some have a newer form under a suffix. */
int cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags, int *found) {
  char newer[128];
  (void)version; (void)flags;
  for (int form = 0; form < 3; form++) {
    snprintf(newer, sizeof newer, form == 0 ? "%s_v2" : form == 1 ? "%sWithFlags" : "%s", name);
    *function = dlsym(RTLD_DEFAULT, newer);
    if (*function) break;
  }
  if (found) *found = *function ? 0 : 1;
  return 0;
}
int cuGetProcAddress(const char *name, void **function, int version, uint64_t flags) {
  return cuGetProcAddress_v2(name, function, version, flags, NULL);
}
