/* Every operation against plain loops, on every instruction set of this machine, in float and double.
 *
 *     kernels              all cases; a line for each family
 *     kernels --mutants    also: does some case fail if one kernel does nothing? For each kernel of the table.
 */
#include <stdio.h>
#include <string.h>

#include "core/isa.h"
#include "families.h"
#include "fnn.h"
#include "report.h"

#define X(name)                                                                                                        \
    void test_##name##_f32(void);                                                                                      \
    void test_##name##_f64(void);
FAMILIES(X)
#undef X

typedef struct {
    const char *name;
    void (*run[2])(void);
} family;

static const family families[] = {
#define X(name) {#name, {test_##name##_f32, test_##name##_f64}},
    FAMILIES(X)
#undef X
};
enum { N_FAMILIES = sizeof families / sizeof *families };

static const char *const slots[] = {
#define FNN_SLOT(name, parameters) #name,
#include "kernels/slots.h"
#undef FNN_SLOT
};
enum { N_SLOTS = sizeof slots / sizeof *slots };

typedef struct {
    const char *name;
    fnn_isa isa;
} instruction_set;

static const instruction_set instruction_sets[] = {
#define X(NAME, name) {#name, FNN_##NAME},
    FNN_EACH_ISA(X)
#undef X
};
enum { N_INSTRUCTION_SETS = sizeof instruction_sets / sizeof *instruction_sets };

int mutated_slot = -1;
const char *where = "";
static char where_text[120];

static int can_run(int i) { return fnn_isa_is_supported(instruction_sets[i].isa); }

static void run_on(const family *f, int i, int dtype) {
    fnn_isa_select(instruction_sets[i].isa);
    snprintf(where_text, sizeof where_text, "%s of %s, %s", f->name, dtype ? "f64" : "f32", instruction_sets[i].name);
    where = where_text;
    f->run[dtype]();
}

/* The number of kernels that no case needs. */
static int run_mutants(void) {
    int survivors = 0, best = 0, passed = n_passed, failed = n_failed;
    while (best + 1 < N_INSTRUCTION_SETS && can_run(best + 1)) {
        best++;
    }
    is_silent = 1;
    for (mutated_slot = 0; mutated_slot < N_SLOTS; mutated_slot++) {
        for (int dtype = 0; dtype < 2; dtype++) {
            n_failed = 0;
            for (int i = 0; i < N_FAMILIES && n_failed == 0; i++) {
                run_on(families + i, best, dtype);
            }
            if (n_failed == 0) {
                printf("NOT NOTICED: %s of %s does nothing\n", slots[mutated_slot], dtype ? "f64" : "f32");
                survivors++;
            }
        }
    }
    mutated_slot = -1;
    is_silent = 0;
    n_passed = passed, n_failed = failed;
    printf("%-14s %d kernels that do nothing, %d of them not noticed\n", "mutants", 2 * N_SLOTS, survivors);
    return survivors;
}

int main(int argc, char **argv) {
    printf("instruction sets, in brackets what this machine lacks:");
    for (int isa = 0; isa < N_INSTRUCTION_SETS; isa++) {
        printf(can_run(isa) ? " %s" : " (%s)", instruction_sets[isa].name);
    }
    printf("; OpenMP %d; pages of %zu bytes\n", fnn_openmp_version(), fnn_page_size());
    for (int i = 0; i < N_FAMILIES; i++) {
        int passed = n_passed, failed = n_failed;
        for (int isa = 0; isa < N_INSTRUCTION_SETS; isa++) {
            for (int dtype = 0; can_run(isa) && dtype < 2; dtype++) {
                run_on(families + i, isa, dtype);
            }
        }
        printf("%-14s %d passed, %d failed\n", families[i].name, n_passed - passed, n_failed - failed);
        fflush(stdout);
    }
    int missing = print_operations_that_were_not_called();
    if (argc > 1 && strcmp(argv[1], "--mutants") == 0) {
        missing += run_mutants();
    }
    printf("%d passed, %d failed\n", n_passed, n_failed + missing);
    return n_failed + missing > 0;
}
