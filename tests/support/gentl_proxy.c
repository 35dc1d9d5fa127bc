/* A GenTL producer that forwards every call to another one (GENTL_PROXY_TARGET) and injects faults on the way.
 *
 * Forwarders are jumps, so signatures need not be known; a few functions are written out. A ledger keeps what was
 * really delivered, for tests to compare with. Faults are set from the same process with proxy_set(name, value).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef int32_t GC_ERROR;
enum { NOT_IMPLEMENTED = -1003, IO = -1010, TIMEOUT = -1011, NOT_AVAILABLE = -1014 };
enum { BASE = 0, IS_INCOMPLETE = 7, SIZE_FILLED = 9, WIDTH = 10, HEIGHT = 11, FRAMEID = 16, PIXELFORMAT = 20 };
enum { DELIVERED_IMAGEHEIGHT = 22, TIMESTAMP_NS = 28 };
enum { NUM_AWAIT_DELIVERY = 5 };
typedef struct { void *buffer, *user; } NewBuffer;

static struct { const char *name; long value; } faults[] = {
#define FAULTS(F) F(incomplete) F(io_errors) F(drop) F(stall) F(lost) F(hang) F(hang_after) F(first_id) F(no_ids) \
    F(pixel_format) F(size_filled) F(camera_clock) F(no_counter) F(open_errors) F(delivered) F(streams) F(blanked) F(stale) F(lines) \
    F(write_errors) F(start_errors) F(slow_update) F(updates) F(by_trigger) F(triggered)
#define ROW(name) {#name, 0},
    FAULTS(ROW)
};
enum {
#define INDEX(name) name##_,
    FAULTS(INDEX) COUNT
};
#define AT(name) faults[name##_].value

long proxy_set(const char *name, long value) {
    for (int i = 0; i < COUNT; i++)
        if (!strcmp(faults[i].name, name)) return faults[i].value = value, 0;
    return -1;
}
long proxy_get(const char *name) {
    for (int i = 0; i < COUNT; i++)
        if (!strcmp(faults[i].name, name)) return faults[i].value;
    return -1;
}

/* One row per delivered buffer: stream start (from 1), the id that it was delivered with, 1 if complete. */
#define ROWS 65536
static long ledger[ROWS][3];
long proxy_ledger(long row, int column) { return row < AT(delivered) && row < ROWS ? ledger[row][column] : -1; }

#define FORWARDED(F) F(GCInitLib) F(GCCloseLib) F(GCGetInfo) F(GCGetLastError) F(GCGetNumPortURLs) F(GCGetPortURL) \
    F(GCGetPortURLInfo) F(GCGetPortInfo) F(GCRegisterEvent) F(GCUnregisterEvent) F(EventGetDataInfo) F(EventGetInfo) \
    F(EventFlush) F(EventKill) F(TLOpen) F(TLClose) F(TLGetInfo) F(TLGetNumInterfaces) F(TLGetInterfaceID) \
    F(TLGetInterfaceInfo) F(TLOpenInterface) F(TLUpdateInterfaceList) F(IFClose) F(IFGetInfo) F(IFGetDeviceID) \
    F(IFGetDeviceInfo) F(IFGetParentTL) F(DevGetNumDataStreams) F(DevGetDataStreamID) \
    F(DevOpenDataStream) F(DevGetInfo) F(DevClose) F(DevGetParentIF) F(DSAnnounceBuffer) F(DSAllocAndAnnounceBuffer) \
    F(DSAnnounceCompositeBuffer) F(DSFlushQueue) F(DSStopAcquisition) F(DSGetBufferID) F(DSClose) F(DSRevokeBuffer) \
    F(DSGetBufferChunkData) F(DSGetParentDev) F(DSGetNumBufferParts) F(DSGetBufferPartInfo) F(DSGetBufferSegmentInfo) \
    F(DSGetNumBufferSegments) F(DSGetFlowInfo) F(DSGetNumFlows)
#define WRITTEN(F) F(EventGetData) F(DSGetBufferInfo) F(DSGetInfo) F(DSQueueBuffer) F(DSStartAcquisition) F(DevGetPort) \
    F(GCReadPort) F(GCWritePort) F(GCReadPortStacked) F(GCWritePortStacked) F(IFGetNumDevices) F(IFOpenDevice) \
    F(IFUpdateDeviceList)

#define POINTER(name) __attribute__((visibility("hidden"))) void *real_##name;
FORWARDED(POINTER)
WRITTEN(POINTER)
#if defined(__x86_64__)
#define JUMP(name) __asm__(".globl " #name "\n.type " #name ",@function\n" #name ":\n\tjmp *real_" #name "(%rip)\n");
#elif defined(__aarch64__)
#define JUMP(name) \
    __asm__(".globl " #name "\n.type " #name ",%function\n" #name ":\n\tadrp x16, real_" #name "\n\tldr x16, [x16, :lo12:real_" \
            #name "]\n\tbr x16\n");
#endif
FORWARDED(JUMP)
#define REAL(name, ...) ((GC_ERROR(*)(__VA_ARGS__))real_##name)

static GC_ERROR not_implemented(void) { return NOT_IMPLEMENTED; }

__attribute__((constructor)) static void load(void) {
    void *target = dlopen(getenv("GENTL_PROXY_TARGET"), RTLD_NOW | RTLD_LOCAL);
    if (!target) abort();
#define FIND(name) if (!(real_##name = dlsym(target, #name))) real_##name = (void *)not_implemented;
    FORWARDED(FIND)
    WRITTEN(FIND)
    const char *after = getenv("GENTL_PROXY_HANG_AFTER");
    if (after) AT(hang_after) = atol(after);
}

static void *stream, *incomplete_buffers[1024], *ports[1024];
static int n_ports;

static uint64_t id_of(void *buffer) {
    uint64_t id = 0;
    size_t size = sizeof id;
    int32_t type;
    REAL(DSGetBufferInfo, void *, void *, int32_t, int32_t *, void *, size_t *)(stream, buffer, FRAMEID, &type, &id, &size);
    return AT(first_id) ? (id - 1 + AT(first_id) - 1) % 65535 + 1 : id; /* GigE Vision 1.x: 1 to 65535 */
}

static size_t buffer_info(void *buffer, int32_t command) {
    size_t value = 0, size = sizeof value;
    int32_t type;
    REAL(DSGetBufferInfo, void *, void *, int32_t, int32_t *, void *, size_t *)(stream, buffer, command, &type, &value, &size);
    return value;
}

/* A camera that doesn't fill the buffer: from this byte on the Mono8 picture is still an earlier one, all 0x55. */
static void leave_stale(void *buffer, size_t from) {
    size_t pixels = buffer_info(buffer, WIDTH) * buffer_info(buffer, HEIGHT);
    if (from < pixels) memset((uint8_t *)buffer_info(buffer, BASE) + from, 0x55, pixels - from);
}

GC_ERROR EventGetData(void *event, void *out, size_t *size, uint64_t timeout) {
    while (AT(hang)) usleep(1000);
    if (AT(stall) || AT(lost) || (AT(by_trigger) && AT(triggered) <= 0)) return TIMEOUT;
    if (AT(io_errors) > 0) return AT(io_errors)--, IO;
    GC_ERROR error = REAL(EventGetData, void *, void *, size_t *, uint64_t)(event, out, size, timeout);
    if (error) return error;
    void *buffer = ((NewBuffer *)out)->buffer;
    if (AT(drop) > 0) {
        AT(drop)--;
        REAL(DSQueueBuffer, void *, void *)(stream, buffer);
        return TIMEOUT;
    }
    if (AT(stale)) leave_stale(buffer, AT(stale));
    int incomplete = AT(incomplete) > 0;
    for (int i = 0; incomplete && i < 1024; i++)
        if (!incomplete_buffers[i]) {
            incomplete_buffers[i] = buffer;
            AT(incomplete)--;
            break;
        }
    if (AT(delivered) < ROWS) {
        long *row = ledger[AT(delivered)];
        row[0] = AT(streams), row[1] = id_of(buffer), row[2] = !incomplete;
    }
    if (AT(by_trigger)) AT(triggered)--;
    if (++AT(delivered) == AT(hang_after)) AT(hang) = 1;
    return 0;
}

GC_ERROR DSGetBufferInfo(void *ds, void *buffer, int32_t command, int32_t *type, void *out, size_t *size) {
    if (command == FRAMEID && AT(no_ids)) return NOT_AVAILABLE;
    if (command == SIZE_FILLED && AT(size_filled) < 0) return NOT_AVAILABLE;
    if (command == TIMESTAMP_NS && AT(camera_clock) && out) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        *type = 9; /* UINT64 */
        return *(uint64_t *)out = now.tv_sec * 1000000000ull + now.tv_nsec - AT(camera_clock), *size = 8, 0;
    }
    GC_ERROR error = REAL(DSGetBufferInfo, void *, void *, int32_t, int32_t *, void *, size_t *)(ds, buffer, command, type, out, size);
    if (error || !out) return error;
    if (command == IS_INCOMPLETE)
        for (int i = 0; i < 1024; i++) *(uint8_t *)out |= incomplete_buffers[i] == buffer;
    if (command == FRAMEID) *(uint64_t *)out = id_of(buffer);
    if (command == PIXELFORMAT && AT(pixel_format)) *(uint64_t *)out = AT(pixel_format);
    if (command == SIZE_FILLED && AT(size_filled)) *(size_t *)out = AT(size_filled);
    if (command == DELIVERED_IMAGEHEIGHT && AT(lines)) *(size_t *)out = AT(lines) < 0 ? 0 : AT(lines);
    return 0;
}

GC_ERROR DSGetInfo(void *ds, int32_t command, int32_t *type, void *out, size_t *size) {
    if (command == NUM_AWAIT_DELIVERY && AT(no_counter)) return NOT_IMPLEMENTED;
    return REAL(DSGetInfo, void *, int32_t, int32_t *, void *, size_t *)(ds, command, type, out, size);
}

static int blank(void *ds, void *buffer) { /* all zeros where the picture begins; the simulated scene is white */
    const uint8_t *base = 0;
    size_t size = sizeof base;
    int32_t type;
    REAL(DSGetBufferInfo, void *, void *, int32_t, int32_t *, void *, size_t *)(ds, buffer, BASE, &type, &base, &size);
    for (int i = 0; base && i < 1000; i++)
        if (base[i]) return 0;
    return 1;
}

GC_ERROR DSQueueBuffer(void *ds, void *buffer) {
    if (AT(lost)) return IO;
    AT(blanked) += blank(ds, buffer);
    for (int i = 0; i < 1024; i++)
        if (incomplete_buffers[i] == buffer) incomplete_buffers[i] = 0;
    return REAL(DSQueueBuffer, void *, void *)(ds, buffer);
}

GC_ERROR DSStartAcquisition(void *ds, int32_t flags, uint64_t count) {
    stream = ds;
    AT(streams)++;
    memset(incomplete_buffers, 0, sizeof incomplete_buffers);
    return AT(lost) || AT(start_errors) ? IO : REAL(DSStartAcquisition, void *, int32_t, uint64_t)(ds, flags, count);
}

GC_ERROR DevGetPort(void *device, void **port) {
    GC_ERROR error = REAL(DevGetPort, void *, void **)(device, port);
    if (!error) ports[n_ports++ % 1024] = *port;
    return error;
}

static int remote(void *port) { /* a port of the camera itself, not of the producer's own modules */
    for (int i = 0; i < 1024; i++)
        if (ports[i] == port) return 1;
    return 0;
}
static int gone(void *port) { return AT(lost) && remote(port); }
GC_ERROR GCReadPort(void *port, uint64_t address, void *out, size_t *size) {
    return gone(port) ? IO : REAL(GCReadPort, void *, uint64_t, void *, size_t *)(port, address, out, size);
}
GC_ERROR GCWritePort(void *port, uint64_t address, const void *in, size_t *size) {
    if (AT(write_errors) > 0 && remote(port)) return AT(write_errors)--, IO;
    return gone(port) ? IO : REAL(GCWritePort, void *, uint64_t, const void *, size_t *)(port, address, in, size);
}
GC_ERROR GCReadPortStacked(void *port, void *entries, size_t *count) {
    return gone(port) ? IO : REAL(GCReadPortStacked, void *, void *, size_t *)(port, entries, count);
}
GC_ERROR GCWritePortStacked(void *port, void *entries, size_t *count) {
    return gone(port) ? IO : REAL(GCWritePortStacked, void *, void *, size_t *)(port, entries, count);
}

GC_ERROR IFGetNumDevices(void *interface, uint32_t *count) {
    GC_ERROR error = REAL(IFGetNumDevices, void *, uint32_t *)(interface, count);
    if (AT(lost)) *count = 0;
    return error;
}

GC_ERROR IFOpenDevice(void *interface, const char *id, int32_t flags, void **device) {
    if (AT(lost)) return IO;
    if (AT(open_errors)) return AT(open_errors);
    return REAL(IFOpenDevice, void *, const char *, int32_t, void **)(interface, id, flags, device);
}

GC_ERROR IFUpdateDeviceList(void *interface, uint8_t *changed, uint64_t timeout) { /* slow_update in ms */
    AT(updates)++;
    usleep(AT(slow_update) * 1000);
    return REAL(IFUpdateDeviceList, void *, uint8_t *, uint64_t)(interface, changed, timeout);
}
