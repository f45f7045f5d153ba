package cuda

// Family says where a GPU is sold, which decides about forward compatibility and,
// for Jetson, about code.
type Family string

// The families.
const (
	DataCentre  Family = "data centre"
	Workstation Family = "workstation"
	GeForce     Family = "geforce"
	Jetson      Family = "jetson"
)

// GPU is one product.
type GPU struct {
	Name       string // as people write it, "H100"
	Capability Capability
	Family     Family
	Source     string // URL
}

// Where the rows come from. Wikipedia's list is used only where NVIDIA's two tables
// and the MIG guide do not name a product.
const (
	current = "https://developer.nvidia.com/cuda-gpus"
	legacy  = "https://developer.nvidia.com/cuda-legacy-gpus"
	mig     = "https://docs.nvidia.com/datacenter/tesla/mig-user-guide/supported-gpus.html"
	list    = "https://en.wikipedia.org/wiki/CUDA#GPUs_supported"
)

// products is the list, newest first, the best known product of a capability before
// the others (Check names it for a bare "12.0"). Names are upper case with single spaces and
// without NVIDIA, Tesla or GeForce; Ti, Super, memory size, form factor and the like
// follow from the rules of FindGPU and are left out unless another row needs them.
var products = []struct {
	capability Capability
	family     Family
	source     string
	names      []string
}{
	{Capability{12, 1, 0}, Workstation, current, []string{"GB10", "DGX SPARK"}},
	{Capability{12, 0, 0}, GeForce, current, []string{"RTX 5090", "RTX 5080", "RTX 5070", "RTX 5060", "RTX 5050"}},
	{Capability{12, 0, 0}, Workstation, current, []string{"RTX PRO 6000", "RTX PRO 5000", "RTX PRO 4500", "RTX PRO 4000", "RTX PRO 2000"}},
	{Capability{12, 0, 0}, Workstation, list, []string{"RTX PRO 3000", "RTX PRO 1000", "RTX PRO 500"}},
	{Capability{11, 0, 0}, Jetson, current, []string{"JETSON T5000", "JETSON T4000", "JETSON THOR", "JETSON AGX THOR"}},
	{Capability{10, 3, 0}, DataCentre, current, []string{"B300", "GB300"}},
	{Capability{10, 0, 0}, DataCentre, current, []string{"B200", "GB200"}},
	{Capability{10, 0, 0}, DataCentre, list, []string{"B100"}},
	{Capability{9, 0, 0}, DataCentre, current, []string{"H100", "H200", "GH200"}},
	{Capability{9, 0, 0}, DataCentre, mig, []string{"H20"}},
	{Capability{9, 0, 0}, DataCentre, list, []string{"H800"}},
	{Capability{8, 9, 0}, DataCentre, current, []string{"L4", "L40", "L40S"}},
	{Capability{8, 9, 0}, DataCentre, list, []string{"L2", "L20"}},
	{Capability{8, 9, 0}, Workstation, current, []string{"RTX 6000 ADA", "RTX 5000 ADA", "RTX 4500 ADA", "RTX 4000 ADA", "RTX 4000 SFF ADA", "RTX 2000 ADA"}},
	{Capability{8, 9, 0}, Workstation, list, []string{"RTX 5880 ADA", "RTX 3500 ADA", "RTX 3000 ADA", "RTX 2000E ADA", "RTX 1000 ADA", "RTX 500 ADA"}},
	{Capability{8, 9, 0}, GeForce, current, []string{"RTX 4090", "RTX 4080", "RTX 4070", "RTX 4060", "RTX 4050"}},
	{Capability{8, 7, 0}, Jetson, current, []string{"JETSON AGX ORIN", "JETSON ORIN NX", "JETSON ORIN NANO", "JETSON ORIN"}},
	{Capability{8, 6, 0}, DataCentre, current, []string{"A40", "A10", "A16", "A2"}},
	{Capability{8, 6, 0}, DataCentre, list, []string{"A10G", "A10M"}},
	{Capability{8, 6, 0}, Workstation, current, []string{"RTX A6000", "A6000", "RTX A5000", "A5000", "RTX A4000", "A4000", "RTX A3000", "RTX A2000", "A2000"}},
	{Capability{8, 6, 0}, Workstation, list, []string{"RTX A5500", "RTX A4500", "A4500", "RTX A1000", "RTX A500", "RTX A400"}},
	{Capability{8, 6, 0}, GeForce, current, []string{"RTX 3090", "RTX 3080", "RTX 3070", "RTX 3060", "RTX 3050"}},
	{Capability{8, 0, 0}, DataCentre, current, []string{"A100", "A30"}},
	{Capability{8, 0, 0}, DataCentre, list, []string{"A100X", "A30X", "A800"}},
	{Capability{7, 5, 0}, DataCentre, current, []string{"T4"}},
	{Capability{7, 5, 0}, DataCentre, list, []string{"T4G"}},
	{Capability{7, 5, 0}, Workstation, current, []string{"QUADRO RTX 8000", "RTX 8000", "QUADRO RTX 6000", "QUADRO RTX 5000", "QUADRO RTX 4000", "QUADRO RTX 3000",
		"T2000", "T1200", "T1000", "T600", "T500", "T400", "QUADRO T2000", "QUADRO T1000"}},
	{Capability{7, 5, 0}, GeForce, current, []string{"TITAN RTX", "RTX 2080", "RTX 2070", "RTX 2060", "GTX 1660", "GTX 1650"}},
	{Capability{7, 2, 0}, Jetson, legacy, []string{"JETSON AGX XAVIER", "JETSON XAVIER NX", "JETSON XAVIER"}},
	{Capability{7, 0, 0}, DataCentre, legacy, []string{"V100"}},
	{Capability{7, 0, 0}, DataCentre, list, []string{"V100S"}},
	{Capability{7, 0, 0}, Workstation, legacy, []string{"QUADRO GV100", "GV100", "TITAN V"}},
	{Capability{6, 2, 0}, Jetson, legacy, []string{"JETSON TX2"}},
	{Capability{6, 1, 0}, DataCentre, legacy, []string{"P40", "P4"}},
	{Capability{6, 1, 0}, Workstation, legacy, []string{"QUADRO P6000", "QUADRO P5200", "QUADRO P5000", "QUADRO P4200", "QUADRO P4000", "QUADRO P3200", "QUADRO P3000", "QUADRO P2200",
		"QUADRO P2000", "QUADRO P1000", "QUADRO P620", "QUADRO P600", "QUADRO P500", "QUADRO P400", "P620", "P520"}},
	{Capability{6, 1, 0}, GeForce, legacy, []string{"TITAN XP", "TITAN X", "GTX 1080", "GTX 1070", "GTX 1060", "GTX 1050"}},
	{Capability{6, 0, 0}, DataCentre, legacy, []string{"P100"}},
	{Capability{6, 0, 0}, Workstation, legacy, []string{"QUADRO GP100", "GP100"}},
	{Capability{5, 3, 0}, Jetson, legacy, []string{"JETSON NANO"}},
	{Capability{5, 2, 0}, DataCentre, legacy, []string{"M60", "M40"}},
	{Capability{5, 2, 0}, Workstation, legacy, []string{"QUADRO M6000", "QUADRO M5000", "QUADRO M4000", "QUADRO M2000", "QUADRO M2200"}},
	{Capability{5, 2, 0}, GeForce, legacy, []string{"GTX TITAN X", "GTX 980", "GTX 970", "GTX 960", "GTX 950"}},
	{Capability{5, 0, 0}, Workstation, legacy, []string{"QUADRO K2200", "QUADRO K1200", "QUADRO K620"}},
	{Capability{5, 0, 0}, GeForce, legacy, []string{"GTX 750"}},
	{Capability{3, 7, 0}, DataCentre, list, []string{"K80"}},
	{Capability{3, 5, 0}, DataCentre, list, []string{"K40", "K20"}},
}
