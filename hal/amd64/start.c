/*
 * start.c - the order in which the machine is put together.
 *
 * Entered by boot/ in long mode on the entry stub's tables and stack, interrupts off. Descriptor tables come
 * first, so that a fault on the way is a line and not a reset; then what firmware says, and memory, after which
 * nothing of the entry stub is used; then the options, for which files are looked up where they will stay; then the
 * processors' records, the region behind gs, the local APIC, the clocks, and the core.
 */
#include "halp.h"

static HAL_LOADER_BLOCK HalpLoaderBlock;

VOID DECLSPEC_NORETURN
HalpStartMachine(const HALP_BOOT_INFO *Info)
{
    PHALP_PROCESSOR Processor;
    ULONG Processors;
    ULONG Number;

    Processor = &HalpProcessors[0];
    HalpInitializeConsole();
    HalpPrepareProcessor();
    HalpLoadDescriptors(Processor);
    HalpLoaderBlock.MachineName = "amd64";
    HalpLoaderBlock.Isolation = "page tables";
    HalpReadFirmware(Info->AcpiRoot);
    HalpInitializeMemory(Info, &HalpLoaderBlock, HalpFirmwareProcessorTotal());
    HalpReadOptions(Info, &HalpLoaderBlock);
    if (HalpShowOnSerial) {
        HalpShowMemory(&HalpLoaderBlock);
    }
    Processors = MIN(HalpFirmwareProcessorTotal(), HalpProcessorLimit);
    for (Number = 0; Number < Processors; Number += 1) {
        HalpInitializeProcessor(Number);
    }
    HalpWriteMsr(HALP_MSR_GS_BASE, (ULONG_PTR)Processor->Pcr);
    HalpInitializeApic();
    HalpInitializeClock();
    HalpStartCore(&HalpLoaderBlock);
}
