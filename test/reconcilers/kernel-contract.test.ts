// The Kernel contract, run on the model and on the real kernel.

import { contractKernel } from "../support/contract-kernel.ts";
import { contractKernelFlood } from "../support/contract-kernel-flood.ts";
import { modelKernel, realKernel } from "../support/kernel-hosts.ts";
import { requireRoot } from "../support/netns.ts";

contractKernel("the model of the kernel", modelKernel);
contractKernelFlood("the model of the kernel, flat", modelKernel);
if (requireRoot("kernel contract on the real kernel")) {
  contractKernel("the real kernel", realKernel);
  contractKernelFlood("the real kernel, flat", realKernel);
}
