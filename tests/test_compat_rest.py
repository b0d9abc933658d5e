"""What torch has beside tensors, layers and optimisers: devices, settings, files, logs, names that are missing."""

import importlib
import importlib.machinery
import importlib.util
import io
import os
import pickle
import pkgutil
import random
import subprocess
import sys
import types

import numpy as np
import pytest
from pth_splices import instructions_of, spliced

import fastnn
import fastnn.compat.torch as torch
from fastnn.compat import notes
from fastnn.compat.torch import _toplevel_rest


@pytest.fixture
def said(monkeypatch):
    """What is noted during the test."""
    monkeypatch.setattr(notes, "_said", [])
    return notes.notes


def every_module():
    return [name for _, name, _ in pkgutil.walk_packages(torch.__path__, f"{torch.__name__}.")]


# ---- modules ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", _toplevel_rest._MODULES)
def test_modules_are_there_without_importing_them(name):
    assert isinstance(getattr(torch, name), types.ModuleType)


def test_a_script_imports_torch_alone_and_uses_its_modules():
    code = (
        "import sys, fastnn.compat.torch as torch\n"
        "assert 'fastnn.compat.torch.distributions' not in sys.modules\n"
        "torch.distributions.Normal(0.0, 1.0)\n"
        "torch.optim.swa_utils.SWALR\n"
        "torch.utils.checkpoint.checkpoint\n"
        "torch.backends.cudnn.benchmark = True\n"
        "from fastnn.compat.torch import cuda, linalg\n"
        "print(torch.cuda.is_available())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("name", every_module())
def test_what_a_module_lists_is_there(name):
    module = importlib.import_module(name)
    for public in set(getattr(module, "__all__", ())) - {"SummaryWriter"}:  # which needs another package
        getattr(module, public)


@pytest.mark.parametrize("name", [name for name in every_module() if "._" not in name and ".nn." not in name])
def test_what_a_module_lacks_is_said_by_its_name(name):
    module = importlib.import_module(name)
    with pytest.raises(AttributeError, match=r"^torch\.[\w.]+no_such_name is not in fastnn"):
        module.no_such_name  # noqa: B018


@pytest.mark.parametrize("name", _toplevel_rest._OF_NN)
def test_functions_of_layers_are_at_top_level_too(name):
    assert getattr(torch, name) is getattr(torch.nn.functional, name)


def test_what_packages_say_to_pytorch_alone_does_nothing():
    assert torch._C._log_api_usage_once("package") is None
    assert torch.fx.wrap(len) is len
    assert torch.fx.wrap("len") == "len"
    with pytest.raises(RuntimeError, match="callable or string name"):
        torch.fx.wrap(3)

    class Doubled(torch.jit.ScriptModule):
        @torch.jit.script_method
        def forward(self, x):
            return x * 2

    assert Doubled()(torch.ones(1)).item() == 2
    assert isinstance(Doubled(), torch.nn.Module)


@pytest.mark.parametrize(
    ("call", "advice"),
    [
        (lambda: torch.vmap, "torch.stack"),
        (lambda: torch.sparse_coo_tensor, "dense"),
        (lambda: torch.onnx.dynamo_export, "torch.onnx.export"),
        (lambda: torch.jit.save, "state_dict"),
        (lambda: torch.hub.load, "load_state_dict"),
        (lambda: torch.hub.load_state_dict_from_url, "curl"),
        (lambda: torch.utils.model_zoo.load_url, "curl"),
        (lambda: torch.utils.benchmark.Timer, "timeit"),
        (lambda: torch.utils.bottleneck, "fastnn profile"),
        (lambda: torch.profiler.profile, "fastnn profile"),
        (lambda: torch.quantization.quantize_dynamic, "floats"),
        (lambda: torch.distributed.init_process_group, "one process"),
        (lambda: torch.multiprocessing.spawn, "one process"),
        (lambda: torch.fft.rfft, "numpy.fft"),
        (lambda: torch.special.i0, "scipy"),
        (lambda: torch.linalg.eig, "numpy"),
        (lambda: torch.distributions.StudentT, "scipy.stats"),
        (lambda: torch.func.grad, "torch.autograd.grad"),
        (lambda: torch.cuda.CUDAGraph, "is_available"),
        (lambda: torch.backends.quantized, "floats"),
        (lambda: torch.fx.symbolic_trace, "hook"),
    ],
)
def test_what_is_missing_says_what_to_use(call, advice):
    with pytest.raises(AttributeError, match="is not in fastnn: .*" + advice):
        call()


# ---- devices ---------------------------------------------------------------------------------------------------------
def test_there_is_no_gpu_and_scripts_go_on(said):
    assert not torch.cuda.is_available()
    assert torch.cuda.device_count() == 0
    assert torch.cuda.get_device_name(3) == "CPU"
    assert torch.cuda.get_device_properties(0).total_memory > 0
    assert torch.cuda.get_device_capability() == (0, 0)
    torch.cuda.set_device("cuda:1")
    torch.cuda.set_device(torch.device("cuda"))
    torch.cuda.empty_cache()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    assert torch.cuda.memory_allocated() == torch.cuda.max_memory_reserved(0) == 0
    assert torch.cuda.memory_stats() == {}
    assert "no memory of a GPU" in torch.cuda.memory_summary()
    with torch.cuda.device(0):
        assert torch.cuda.current_device() == 0
    with pytest.raises(RuntimeError, match="a device must be"):
        torch.cuda.set_device("gpu")
    assert any("is taken as the CPU" in text for text in said())


def test_seeds_of_a_gpu_change_nothing():
    torch.manual_seed(3)
    before = torch.rand(3)
    torch.manual_seed(3)
    torch.cuda.manual_seed(5)
    torch.cuda.manual_seed_all(6)
    torch.mps.manual_seed(7)
    torch.xpu.manual_seed(8)
    torch.cuda.seed()
    assert torch.rand(3).tolist() == before.tolist()
    assert torch.cuda.initial_seed() == torch.initial_seed() == 3
    assert torch.cuda.get_rng_state_all() == []
    torch.cuda.set_rng_state_all([])
    with pytest.raises(RuntimeError, match="no GPU"):
        torch.cuda.set_rng_state_all([torch.cuda.get_rng_state()])


def test_the_state_of_random_numbers_is_kept_and_forked():
    torch.manual_seed(1)
    state = torch.cuda.get_rng_state()
    first = torch.rand(2)
    torch.cuda.set_rng_state(state)
    assert torch.rand(2).tolist() == first.tolist()
    torch.random.set_rng_state(state)
    with torch.random.fork_rng():
        torch.rand(5)
    assert torch.rand(2).tolist() == first.tolist()
    torch.mps.set_rng_state(torch.mps.get_rng_state())


def test_events_measure_and_streams_do_nothing():
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    with pytest.raises(ValueError, match="record"):
        start.elapsed_time(end)
    start.record()
    with torch.cuda.stream(torch.cuda.Stream()):
        torch.cuda.current_stream().wait_stream(torch.cuda.default_stream())
    end.record(torch.cuda.current_stream())
    end.synchronize()
    assert end.query()
    assert start.elapsed_time(end) >= 0
    assert torch.cuda.Stream().record_event().query()


def test_tensor_types_of_a_gpu_are_the_cpus():
    assert torch.cuda.FloatTensor is torch.FloatTensor
    assert torch.cuda.LongTensor([1]).tolist() == [1]


def test_settings_of_backends_are_kept():
    cudnn = torch.backends.cudnn
    cudnn.benchmark, cudnn.deterministic = True, True
    try:
        with cudnn.flags(enabled=False, benchmark=False, deterministic=None):
            assert (cudnn.enabled, cudnn.benchmark, cudnn.deterministic) == (False, False, True)
        assert (cudnn.enabled, cudnn.benchmark) == (True, True)
    finally:
        cudnn.benchmark, cudnn.deterministic = False, False
    assert cudnn.version() is None
    with torch.backends.mkldnn.flags(enabled=False):
        assert not torch.backends.mkldnn.enabled
    cuda = torch.backends.cuda
    cuda.matmul.allow_tf32 = True
    cuda.matmul.allow_tf32 = False
    cuda.enable_flash_sdp(False)
    assert not cuda.flash_sdp_enabled()
    cuda.enable_flash_sdp(True)
    with cuda.sdp_kernel(enable_math=False):
        assert not cuda.math_sdp_enabled()
    assert cuda.math_sdp_enabled()
    assert torch.backends.cpu.get_cpu_capability() == fastnn.isa().upper()
    assert torch.backends.nnpack.set_flags(True) == (False,)
    assert torch.backends.nnpack.set_flags(False) == (True,)
    for module in (torch.backends.mps, torch.backends.mkl, torch.backends.openmp, torch.backends.opt_einsum):
        assert not module.is_available()


# ---- mixed precision -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "autocast",
    [
        lambda: torch.autocast("cuda", dtype=torch.float16),
        lambda: torch.amp.autocast(device_type="cpu", dtype=torch.bfloat16),
        lambda: torch.cuda.amp.autocast(),
        lambda: torch.cuda.amp.autocast(enabled=True, dtype=torch.float16),
    ],
)
def test_autocast_leaves_dtypes_and_says_so_once(said, autocast):
    x = torch.ones(2, 2)
    with autocast():
        assert (x @ x).dtype is torch.float32

    @autocast()
    def double(x):
        return x * 2

    assert double(x).dtype is torch.float32
    assert [text for text in said() if "autocast" in text] == [
        "torch.autocast does nothing: fastnn computes in float32, in which a CPU is as fast"
    ]


def test_what_is_switched_off_says_nothing(said):
    torch.autocast("cuda", enabled=False)
    torch.cuda.amp.GradScaler(enabled=False)
    assert said() == []


def test_a_scaler_steps_without_a_scale(said):
    w = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.5)
    scaler = torch.cuda.amp.GradScaler()
    loss = (w * 3).sum()
    assert scaler.scale(loss) is loss
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_([w], 1.0)
    scaler.step(optimizer)
    scaler.update()
    assert w.tolist() == pytest.approx([0.5])
    assert scaler.get_scale() == 1.0
    assert not scaler.is_enabled()
    scaler.load_state_dict(scaler.state_dict())
    assert any("GradScaler does nothing" in text for text in said())


def test_custom_gradients_of_mixed_precision_are_plain_ones():
    class Square(torch.autograd.Function):
        @staticmethod
        @torch.cuda.amp.custom_fwd(cast_inputs=torch.float32)
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @torch.cuda.amp.custom_bwd
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            return 2 * x * dy

    x = torch.tensor([3.0], requires_grad=True)
    Square.apply(x).sum().backward()
    assert x.grad.tolist() == [6]
    assert torch.amp.custom_fwd(device_type="cuda")(len) is len


# ---- settings --------------------------------------------------------------------------------------------------------
def test_threads_are_fastnns():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert fastnn.num_threads() == torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    torch.set_num_interop_threads(3)
    assert torch.get_num_interop_threads() == 3
    torch.set_num_interop_threads(1)
    with pytest.raises(RuntimeError, match="positive number"):
        torch.set_num_interop_threads(0)


def test_a_default_type_of_tensors_is_a_default_dtype():
    try:
        torch.set_default_tensor_type("torch.cuda.DoubleTensor")
        assert torch.get_default_dtype() is torch.float64
        torch.set_default_tensor_type(torch.FloatTensor)
        assert torch.zeros(1).dtype is torch.float32
        with pytest.raises(TypeError, match=r"torch.FloatTensor or torch.DoubleTensor"):
            torch.set_default_tensor_type(torch.LongTensor)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: torch.set_float32_matmul_precision("low"), "'highest', 'high', 'medium'"),
        (lambda: torch.set_deterministic_debug_mode("never"), "default, warn, error"),
        (lambda: torch.set_default_device("gpu"), "a device must be"),
    ],
)
def test_settings_that_make_no_sense_are_refused(call, text):
    with pytest.raises(RuntimeError, match=text):
        call()


def test_versions_are_compared_by_numbers():
    assert torch.__version__.startswith("2.13.0+fastnn")
    assert torch.__version__ >= "1.10"
    assert torch.__version__ >= (2, 0)
    assert torch.__version__ < "10"
    assert torch.version.cuda is None
    assert [int(part) for part in torch.__version__.split(".")[:2]] == [2, 13]
    assert hash(torch.__version__) == hash(str(torch.__version__))


def test_types_have_pytorchs_names():
    assert torch.typename(torch.ones(1)) == "torch.FloatTensor"
    assert torch.typename(torch.nn.Linear) == "torch.nn.modules.linear.Linear"
    assert torch.typename(np.ones(1)) == "numpy.ndarray"
    assert torch.typename(3) == "int"


# ---- programs --------------------------------------------------------------------------------------------------------
def test_compile_and_script_and_trace_give_what_they_get(said):
    model = torch.nn.Linear(2, 1)
    assert torch.compile(model) is model
    assert torch.compile(model, mode="max-autotune", fullgraph=True) is model
    assert torch.compiler.compile(len) is len

    @torch.compile(dynamic=True)
    def double(x):
        return x * 2

    assert double(torch.ones(1)).item() == 2
    assert torch.jit.script(model) is model
    assert torch.jit.trace(model, torch.ones(1, 2)) is model
    assert torch.jit.freeze(torch.jit.script(model.eval())) is model
    assert torch.jit.ignore(len) is len
    assert torch.jit.ignore(drop=True)(len) is len
    assert torch.jit.unused(len) is len
    assert torch.jit.wait(torch.jit.fork(max, 1, 2)) == 2
    assert torch.compiler.disable(len) is len
    assert torch.compiler.disable(recursive=False)(len) is len
    assert torch.jit.annotate(list, 3) == 3
    assert not isinstance(torch.jit.script(model), torch.jit.ScriptModule)
    assert sum("run as they are" in text for text in said()) == 2


def test_a_checkpointed_function_has_its_gradients(said):
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    from fastnn.compat.torch.utils.checkpoint import checkpoint, checkpoint_sequential

    y = checkpoint(lambda a, b=1: a * a * b, x, use_reentrant=False, b=3)
    checkpoint_sequential([torch.exp, torch.log], 2, y.sum(), use_reentrant=True).backward()
    assert x.grad.tolist() == pytest.approx([6, 12])
    sequence = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
    assert checkpoint_sequential(sequence, 2, x).shape == (2,)
    with pytest.raises(ValueError, match="Unexpected keyword arguments: segment"):
        checkpoint_sequential([], 1, x, segment=3)
    assert any("no memory is saved" in text for text in said())


def test_one_process_is_all_there_is():
    assert not torch.distributed.is_available()
    assert not torch.distributed.is_initialized()
    assert not torch.distributed.is_nccl_available()


def add_one(x):
    return x + 1


def test_processes_are_pythons():
    import multiprocessing

    assert torch.multiprocessing.get_context("spawn").Process is multiprocessing.get_context("spawn").Process
    assert torch.multiprocessing.cpu_count() == multiprocessing.cpu_count()
    torch.multiprocessing.set_sharing_strategy("file_system")
    assert torch.multiprocessing.get_sharing_strategy() in torch.multiprocessing.get_all_sharing_strategies()
    with pytest.raises(ValueError, match="file_descriptor"):
        torch.multiprocessing.set_sharing_strategy("memory")
    x = pickle.loads(pickle.dumps(torch.tensor([1.0, 2.0], requires_grad=True)))
    assert x.tolist() == [1, 2]
    assert type(x) is torch.Tensor
    assert x.requires_grad


def test_named_pieces_of_code_run():
    with torch.profiler.record_function("piece"), torch.autograd.profiler.record_function("other"):
        pass
    assert torch.profiler.record_function("f")(len) is len


def test_folders_of_fetched_files_are_pytorchs(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert torch.hub.get_dir() == str(tmp_path / "hub")
    monkeypatch.setattr(importlib.import_module("fastnn.compat.torch.hub"), "_dir", None)
    torch.hub.set_dir(tmp_path / "other")
    assert torch.hub.get_dir() == str(tmp_path / "other")


# ---- files -----------------------------------------------------------------------------------------------------------
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Linear(2, 3)

    def forward(self, x):
        return self.inner(x)


def test_weights_are_loaded_as_they_were_saved(tmp_path):
    model, path = Net(), tmp_path / "net.pth"
    torch.save(model.state_dict(), path)
    found = torch.load(str(path), map_location="cpu", weights_only=True)
    assert all(type(x) is torch.Tensor and not x.requires_grad for x in found.values())
    other = Net()
    other.load_state_dict(found)
    x = torch.ones(1, 2)
    assert other(x).tolist() == model(x).tolist()


def test_a_checkpoint_goes_on_where_it_stopped(tmp_path):
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    scheduler.step()
    state = {"epoch": 4, "net": model.state_dict(), "optimizer": optimizer.state_dict(), "best": torch.tensor(0.5)}
    torch.save({**state, "scheduler": scheduler.state_dict()}, tmp_path / "all.pt")
    found = torch.load(tmp_path / "all.pt", map_location=lambda storage, place: storage)
    assert found["epoch"] == 4
    optimizer.load_state_dict(found["optimizer"])
    scheduler.load_state_dict(found["scheduler"])
    assert scheduler.get_last_lr() == [1e-4]


@pytest.fixture
def net_of_the_script(monkeypatch):
    """A class that the script itself has."""
    monkeypatch.setattr(Net, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "Net", Net, raising=False)


def test_a_class_of_nobody_is_not_read(tmp_path):
    torch.save({"model": Net()}, tmp_path / "model.pt")
    with pytest.raises(pickle.UnpicklingError, match=r"test_compat_rest.Net.*Save model.state_dict"):
        torch.load(tmp_path / "model.pt", weights_only=False)


@pytest.mark.usefixtures("net_of_the_script")
def test_a_whole_model_is_read_by_fastnn_if_it_is_trusted(tmp_path, said):
    model, path = Net(), tmp_path / "model.pt"
    torch.save({"model": model, "args": {"lr": 0.1}}, path)
    assert any("only fastnn can read this file" in text for text in said())
    with pytest.raises(pickle.UnpicklingError, match=r"weights_only=False"):
        torch.load(path)
    found = torch.load(path, weights_only=False)
    x = torch.ones(1, 2)
    assert found["model"](x).tolist() == model(x).tolist()
    assert found["args"] == {"lr": 0.1}
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    assert isinstance(torch.load(file, weights_only=False), Net)


def test_an_optimizer_and_its_schedule_are_read_with_their_model(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    model(torch.randn(4, 2)).sum().backward()
    optimizer.step()
    schedule.step()
    torch.save({"model": model, "optimizer": optimizer, "schedule": schedule}, tmp_path / "all.pt")
    found = torch.load(tmp_path / "all.pt", weights_only=False)
    assert found["optimizer"].param_groups[0]["params"][0] is found["model"][0].weight
    assert found["schedule"].optimizer is found["optimizer"]
    before = found["model"][0].weight.tolist()
    found["model"](torch.ones(4, 2)).pow(2).sum().backward()
    found["optimizer"].step()
    found["schedule"].step()
    assert found["model"][0].weight.tolist() != before
    assert found["schedule"].get_last_lr() == [1e-4]


def test_what_cannot_be_saved_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.pt"
    torch.save({"a": 1}, path)
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        torch.save({"a": lambda: 3}, path)
    assert torch.load(path) == {"a": 1}


def test_files_that_are_not_there_or_damaged_say_so(tmp_path):
    with pytest.raises(FileNotFoundError):
        torch.load(tmp_path / "no.pt")
    (tmp_path / "bad.pt").write_bytes(b"something else")
    with pytest.raises(fastnn.FileError, match=r"not a file of torch\.save"):
        torch.load(tmp_path / "bad.pt")
    with pytest.raises(RuntimeError, match="a device must be"):
        torch.load(tmp_path / "bad.pt", map_location="gpu")


# ---- logs ------------------------------------------------------------------------------------------------------------
@pytest.fixture
def written(monkeypatch):
    """Stands for tensorboardX, and keeps what it is given."""
    calls = []

    class SummaryWriter:
        def __init__(self, logdir=None, **options):
            self.logdir = logdir or "runs/now"
            calls.append(("new", logdir, options))

        def __getattr__(self, name):
            if name.startswith("add_") or name in ("flush", "close"):
                return lambda *arguments, **keywords: calls.append((name, arguments, keywords))
            raise AttributeError(name)

    module = types.ModuleType("tensorboardX")
    module.SummaryWriter = SummaryWriter
    module.__spec__ = importlib.machinery.ModuleSpec("tensorboardX", None)
    monkeypatch.setitem(sys.modules, "tensorboardX", module)
    return calls


def test_a_writer_gives_numbers_and_arrays_to_tensorboardx(written):
    from fastnn.compat.torch.utils.tensorboard import SummaryWriter

    with SummaryWriter("logs", comment="x", flush_secs=5) as writer:
        writer.add_scalar("loss", torch.tensor(0.5), 3)
        writer.add_scalars("both", {"a": torch.tensor(1.0), "b": 2.0}, global_step=torch.tensor(4))
        writer.add_image("image", torch.ones(3, 2, 2), 0)
        writer.add_hparams({"lr": 0.1}, {"acc": torch.tensor(1.0)})
        assert writer.get_logdir() == writer.log_dir == "logs"
    assert written[0][:2] == ("new", "logs")
    assert written[0][2]["comment"] == "x"
    assert written[1] == ("add_scalar", ("loss", 0.5, 3), {})
    assert written[2] == ("add_scalars", ("both", {"a": 1.0, "b": 2.0}), {"global_step": 4})
    assert type(written[3][1][1]) is np.ndarray
    assert written[4][1][1] == {"acc": 1.0}
    assert written[5][0] == "close"
    with pytest.raises(TypeError, match="input_to_model is needed"):
        writer.add_graph(Net())
    with pytest.raises(AttributeError):
        writer.no_such_name  # noqa: B018


def test_a_writer_without_tensorboardx_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for call in (
        lambda: torch.utils.tensorboard.SummaryWriter,
        lambda: exec("from fastnn.compat.torch.utils.tensorboard import SummaryWriter"),
    ):
        with pytest.raises(ImportError, match=r"pip install 'fastnn\[tensorboard\]'"):
            call()


# ---- policies and variational models ---------------------------------------------------------------------------------
def test_a_policy_learns_from_its_rewards():
    torch.manual_seed(0)
    logits = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(60):
        policy = torch.distributions.Categorical(logits=logits)
        action = policy.sample((16,))
        reward = (action == 2).float()
        optimizer.zero_grad()
        (-(policy.log_prob(action) * (reward - reward.mean())).mean() - 0.001 * policy.entropy()).backward()
        optimizer.step()
    assert torch.distributions.Categorical(logits=logits).probs[2] > 0.8


def test_gradients_go_through_samples_of_a_variational_model():
    torch.manual_seed(0)
    mean, log_var = torch.ones(5, requires_grad=True), torch.zeros(5, requires_grad=True)
    q = torch.distributions.Normal(mean, (log_var / 2).exp())
    p = torch.distributions.Normal(torch.zeros(5), torch.ones(5))
    z = q.rsample((3,))
    loss = (z**2).sum() + torch.distributions.kl_divergence(q, p).sum()
    loss.backward()
    np.testing.assert_allclose(mean.grad.numpy(), 2 * z.detach().numpy().sum(0) + 1, rtol=1e-5)
    assert log_var.grad is not None


def test_what_has_no_gradient_says_so_instead_of_losing_it():
    x = torch.eye(2, requires_grad=True)
    for call in (
        torch.linalg.inv,
        torch.linalg.det,
        torch.linalg.svd,
        lambda x: torch.linalg.solve(x, x),
        lambda x: torch.linalg.matrix_norm(x, "nuc"),
        lambda x: torch.linalg.norm(x, 2),
    ):
        with pytest.raises(RuntimeError, match=r"has no gradient in fastnn: detach\(\)"):
            call(x)
    with pytest.raises(RuntimeError, match="floating point"):
        torch.linalg.inv(torch.ones(2, 2).long())
    with pytest.raises(torch.linalg.LinAlgError, match=r"linalg\.inv"):
        torch.linalg.inv(torch.zeros(2, 2))


def _asking_for(module, name):
    """A pickle that asks for a dotted name."""
    texts = (b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name))
    return b"\x80\x04" + b"".join(texts) + b"\x93."


HOSTILE = {
    "a command": b"cos\nsystem\n(S'echo'\ntR.",
    "eval": b"cbuiltins\neval\n(S'1'\ntR.",
    "getattr": b"cbuiltins\ngetattr\n.",
    "a module that a module of fastnn has imported": _asking_for("fastnn.compat.torch.serialization", "os.remove"),
    "a class that the script has imported": _asking_for("__main__", "subprocess.Popen"),
    "a method": _asking_for("fastnn.nn.module", "Module.state_dict"),
    "a function that reads files": b"cfastnn.compat.torch.serialization\nload\n.",
    "a module that is not imported": b"cantigravity\nfly_geohash\n.",
    "a class of Python's library": b"csubprocess\nPopen\n.",
    "a change of a class": b"cfastnn.nn.module\nModule\n(N}S'forward'\nNstb.",
    "a change of a function": b"cfastnn.functional.add\nadd\n}S'__doc__'\nNsb.",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=list(HOSTILE))
def test_a_file_of_objects_cannot_ask_for_what_does_anything(content, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "subprocess", subprocess, raising=False)
    path = tmp_path / "model.pt"
    path.write_bytes(b"fastnn: objects, pickled by Python\n" + content)
    with pytest.raises(pickle.UnpicklingError, match="the file asks for"):
        torch.load(path, weights_only=False)
    assert "antigravity" not in sys.modules


def test_a_changed_file_of_objects_is_read_or_refused(tmp_path):
    """Cut, with other bytes, and with its instructions in other order."""
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    path = tmp_path / "model.pt"
    torch.save({"model": model, "optimizer": optimizer, "a": [1, 2.5, "x", (None, {3})]}, path)
    content = path.read_bytes()
    start = content.index(b"\n") + 1
    rng, instructions = random.Random(0), instructions_of(content[start:])
    read = 0
    for _ in range(int(os.environ.get("FASTNN_FUZZ", "300"))):
        changed = bytearray(content)
        place = rng.randrange(start, len(content))
        kind = rng.randrange(4)
        if kind == 0:
            del changed[place:]
        elif kind == 1:
            changed[place] ^= 1 << rng.randrange(8)
        elif kind == 2:
            changed[place] = rng.choice(b"().0RQbctuahq\x81\x85\x93\xff")
        else:
            changed = content[:start] + spliced(rng, instructions)
        path.write_bytes(changed)
        try:
            torch.load(path, weights_only=False)
            read += 1
        except fastnn.FileError as error:
            assert str(error).startswith(f"{path}: ")  # noqa: PT017
        except pickle.UnpicklingError as error:
            assert "the file asks for" in str(error)  # noqa: PT017
    assert read
