/* A QEMU TCG plugin that counts guest instructions between marks.
 *
 * A mark is the system call getpriority(MARK, id): the kernel refuses it (no such `which`), so it changes nothing on
 * any machine, and it needs no privilege. For each mark the plugin writes a line "id count" to the file `out`, where
 * count is the number of guest instructions executed since the start.
 *
 * Arguments: out=FILE (inside the guest's root), nr=N (the number of getpriority on the guest's architecture).
 * The counter is not atomic: counts are exact for a guest with one running thread.
 *
 * Debian ships no qemu-plugin.h for user mode, hence the declarations; they follow docs/devel/tcg-plugins.rst and
 * include/qemu/qemu-plugin.h of QEMU 7.2 (plugin API version 1).
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define MARK 0x1234

typedef uint64_t plugin_id;
struct qemu_info;
struct qemu_plugin_tb;
enum inline_op { INLINE_ADD_U64 };

extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, enum inline_op, void *, uint64_t);
extern void qemu_plugin_register_vcpu_syscall_cb(plugin_id, void (*)(plugin_id, unsigned, int64_t, uint64_t, uint64_t,
                                                 uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t));

EXPORT int qemu_plugin_version = 1;

static uint64_t executed;
static int64_t mark_nr = -1;
static FILE *out;

/* Blocks are translated once and run often: each run adds its length, with no call out of the generated code. */
static void on_translation(plugin_id id, struct qemu_plugin_tb *block)
{
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD_U64, &executed, qemu_plugin_tb_n_insns(block));
}

static void on_syscall(plugin_id id, unsigned vcpu, int64_t number, uint64_t which, uint64_t who, uint64_t a3,
                       uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    (void)id, (void)vcpu, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number == mark_nr && (uint32_t)which == MARK) {
        fprintf(out, "%" PRIu32 " %" PRIu64 "\n", (uint32_t)who, executed);
        fflush(out);
    }
}

EXPORT int qemu_plugin_install(plugin_id id, const struct qemu_info *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "out=", 4) == 0)
            out = fopen(argv[i] + 4, "w");
        else if (strncmp(argv[i], "nr=", 3) == 0)
            mark_nr = strtoll(argv[i] + 3, NULL, 10);
    }
    if (out == NULL || mark_nr < 0) {
        fprintf(stderr, "icount: out=FILE (writable) and nr=N are needed\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
    return 0;
}
